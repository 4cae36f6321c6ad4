package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
)

// NewKubeInformers makes informers that see only what this controller made. Options
// may narrow them further, to a namespace for example.
func NewKubeInformers(client kubernetes.Interface, options ...informers.SharedInformerOption) informers.SharedInformerFactory {
	ours := labels.Set{v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}.AsSelector().String()
	return informers.NewSharedInformerFactoryWithOptions(client, 0, append(options,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = ours }),
		informers.WithTransform(strip),
	)...)
}

// NewFluxInformers makes informers of MiniClusters.
func NewFluxInformers(client clientset.Interface, options ...fluxinformers.SharedInformerOption) fluxinformers.SharedInformerFactory {
	return fluxinformers.NewSharedInformerFactoryWithOptions(client, 0, append(options, fluxinformers.WithTransform(strip))...)
}

// strip drops managedFields, which nobody here reads and which often outweigh the
// rest of an object.
func strip(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}
