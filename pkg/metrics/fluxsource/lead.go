package fluxsource

import (
	"errors"
	"fmt"
	"net"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// byCluster and byService are indexes of lead pods by NAMESPACE/NAME of the MiniCluster and of the Service.
const (
	byCluster = "minicluster"
	byService = "service"
)

// newLeadInformer returns an informer of the lead pods of MiniClusters. It stores only the fields that
// are needed to query their agents.
func newLeadInformer(client kubernetes.Interface) (cache.SharedIndexInformer, error) {
	selector := labels.Set{batchv1.JobCompletionIndexAnnotation: "0"}.AsSelector().String() + "," + v1alpha2.LabelHPASelector
	informer := coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, cache.Indexers{
		byCluster: indexByLabel(v1alpha2.LabelHPASelector),
		byService: indexByLabel(v1alpha2.LabelHeadlessService),
	}, func(o *metav1.ListOptions) { o.LabelSelector = selector })
	if err := informer.SetTransform(stripPod); err != nil {
		return nil, fmt.Errorf("setting up the informer of lead pods: %w", err)
	}
	return informer, nil
}

func indexByLabel(label string) cache.IndexFunc {
	return func(obj any) ([]string, error) {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Labels[label] == "" {
			return nil, nil
		}
		return []string{pod.Namespace + "/" + pod.Labels[label]}, nil
	}
}

// stripPod keeps the identity, the owner, the address and the readiness probe of a lead pod.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			DeletionTimestamp: pod.DeletionTimestamp,
			Labels: map[string]string{
				v1alpha2.LabelHPASelector:     pod.Labels[v1alpha2.LabelHPASelector],
				v1alpha2.LabelHeadlessService: pod.Labels[v1alpha2.LabelHeadlessService],
			},
		},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP},
	}
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		kept.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name == pod.Labels[v1alpha2.LabelHPASelector] {
			kept.Spec.Containers = []corev1.Container{{Name: c.Name, ReadinessProbe: c.ReadinessProbe}}
		}
	}
	return kept, nil
}

// leadPod returns the pod of a MiniCluster that runs its lead broker. Anyone who may create pods can set the label,
// so the pod must also belong to the Job that the controller recorded.
func leadPod(index cache.Indexer, mc *v1alpha2.MiniCluster) (*corev1.Pod, error) {
	found, err := index.ByIndex(byCluster, mc.Namespace+"/"+mc.Name)
	if err != nil {
		return nil, fmt.Errorf("getting the lead pod: %w", err)
	}
	reason := errors.New("it has no lead pod")
	for _, obj := range found {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			continue
		}
		owner := metav1.GetControllerOfNoCopy(pod)
		switch {
		case owner == nil || string(owner.UID) != mc.Status.JobID:
		case pod.DeletionTimestamp != nil:
			reason = fmt.Errorf("its lead pod %s is terminating", pod.Name)
		case pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "":
			reason = fmt.Errorf("its lead pod %s is not running: %s", pod.Name, pod.Status.Phase)
		default:
			return pod, nil
		}
	}
	return nil, reason
}

// podAddress returns the address at which the agent of a lead pod serves its metrics, which is that of
// the readiness probe.
func podAddress(pod *corev1.Pod) (string, error) {
	for _, c := range pod.Spec.Containers {
		if p := c.ReadinessProbe; p != nil && p.HTTPGet != nil && p.HTTPGet.Path == "/readyz" {
			return net.JoinHostPort(pod.Status.PodIP, p.HTTPGet.Port.String()), nil
		}
	}
	return "", fmt.Errorf("its lead pod %s has no agent", pod.Name)
}
