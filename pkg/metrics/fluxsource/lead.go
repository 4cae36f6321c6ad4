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

// byCluster and byService are indexes of lead pods, by NAMESPACE/NAME.
const (
	byCluster = "minicluster"
	byService = "service"
)

// newLeadInformer sees the pods of index 0 of MiniClusters, and of them only what is
// needed to ask their agents.
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

// stripPod keeps who a pod is, whose, where, and the port at which its agent says that
// the broker is ready.
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

// leadPod is the pod of a MiniCluster that has its lead broker. Labels are anybody's
// to write; that the Job which the controller recorded owns the pod is not so easily
// said.
func leadPod(index cache.Indexer, mc *v1alpha2.MiniCluster) (*corev1.Pod, error) {
	found, err := index.ByIndex(byCluster, mc.Namespace+"/"+mc.Name)
	if err != nil {
		return nil, fmt.Errorf("looking for the lead pod: %w", err)
	}
	why := errors.New("it has no lead pod")
	for _, obj := range found {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			continue
		}
		owner := metav1.GetControllerOfNoCopy(pod)
		switch {
		case owner == nil || string(owner.UID) != mc.Status.JobID:
		case pod.DeletionTimestamp != nil:
			why = fmt.Errorf("its lead pod %s is going", pod.Name)
		case pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "":
			why = fmt.Errorf("its lead pod %s does not run: %s", pod.Name, pod.Status.Phase)
		default:
			return pod, nil
		}
	}
	return nil, why
}

// PodAddress is where the agent of a lead pod serves its metrics: where the kubelet
// asks whether the pod is ready.
func PodAddress(pod *corev1.Pod) (string, error) {
	for _, c := range pod.Spec.Containers {
		if p := c.ReadinessProbe; p != nil && p.HTTPGet != nil && p.HTTPGet.Path == "/readyz" {
			return net.JoinHostPort(pod.Status.PodIP, p.HTTPGet.Port.String()), nil
		}
	}
	return "", fmt.Errorf("its lead pod %s has no agent", pod.Name)
}
