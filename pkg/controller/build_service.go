package controller

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// BuildHeadlessService makes the Service that gives the pods their host names.
// MiniClusters of a namespace may share it: it selects by its own name, which the
// pods carry in a label, and each of them is an owner.
func BuildHeadlessService(mc *v1alpha2.MiniCluster, f Facts) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            f.Headless,
			Namespace:       mc.Namespace,
			Labels:          map[string]string{v1alpha2.LabelManagedBy: v1alpha2.ManagedBy},
			OwnerReferences: []metav1.OwnerReference{sharedReference(mc)},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  map[string]string{v1alpha2.LabelHeadlessService: f.Headless},
			// Brokers look each other up before any of them is ready.
			PublishNotReadyAddresses: true,
		},
	}
}
