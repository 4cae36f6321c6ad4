package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// former waits until the pods of a Job that is gone have gone too: beside a new
// Job there would be two brokers of a rank, and two pods of a host name. Only a
// cluster that existed before can have such pods. Nothing is made, either, while a
// Job that is not ours has the name: perhaps another is there already that is.
func (c *Controller) former(ctx context.Context, s *syncState) error {
	if s.foreignJob != nil {
		return &heldError{kind: "Job", name: s.foreignJob.Name, holder: describeHolder(s.foreignJob)}
	}
	if s.job != nil || !s.existed {
		return nil
	}
	pods, err := c.livePods(ctx, s.mc)
	if err != nil || len(pods) == 0 {
		return err
	}
	return &waitError{message: fmt.Sprintf(
		"waiting for %s of the former Job to end before the Job is made again (a pod that does not end by itself has to be deleted)", describePods(pods))}
}

// leaving waits, before a Job grows, for terminating pods that still hold an index
// that is to come back. A Job that replaces only pods that have ended sees to it
// itself; one that another controller made, or that an older server stores without
// that policy, does not.
func (c *Controller) leaving(ctx context.Context, s *syncState, target int32) error {
	if target <= resources.Parallelism(s.job) || ptr.Deref(s.job.Spec.PodReplacementPolicy, "") == batchv1.Failed {
		return nil
	}
	pods, err := c.livePods(ctx, s.mc)
	if err != nil {
		return err
	}
	var leaving []corev1.Pod
	for _, pod := range pods {
		if index, ok := resources.PodIndex(&pod); ok && pod.DeletionTimestamp != nil && index < target {
			leaving = append(leaving, pod)
		}
	}
	if len(leaving) == 0 {
		return nil
	}
	return &waitError{message: fmt.Sprintf("waiting for %s to end before the Job grows from %d to %d",
		describePods(leaving), resources.Parallelism(s.job), target)}
}

// livePods asks the API server for the pods of a MiniCluster that have not ended.
func (c *Controller) livePods(ctx context.Context, mc *v1alpha2.MiniCluster) ([]corev1.Pod, error) {
	pods, err := c.listPods(ctx, mc, resources.PodSelector(mc))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	}), nil
}

func (c *Controller) listPods(ctx context.Context, mc *v1alpha2.MiniCluster, selector string) ([]corev1.Pod, error) {
	pods, err := c.kube.CoreV1().Pods(mc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	return pods.Items, nil
}

// maxPodNames is how many pods a message names.
const maxPodNames = 3

func describePods(pods []corev1.Pod) string {
	names := make([]string, 0, maxPodNames)
	for i := range pods[:min(len(pods), maxPodNames)] {
		names = append(names, pods[i].Name)
	}
	text := strings.Join(names, ", ")
	if more := len(pods) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(pods) == 1 {
		return "pod " + text
	}
	return fmt.Sprintf("%d pods (%s)", len(pods), text)
}
