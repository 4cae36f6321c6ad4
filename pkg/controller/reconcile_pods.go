package controller

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// waitForOldPods waits until the pods of a deleted Job have ended: with a new Job, there would be two brokers of one
// rank, and two pods with one host name. Only a cluster with a history can have such pods. Nothing is created while a
// foreign Job has the name, either.
func (c *Controller) waitForOldPods(ctx context.Context, s *syncState) error {
	if s.foreignJob != nil {
		return foreign(jobs.kind(), s.foreignJob)
	}
	if s.job != nil || !s.hasHistory {
		return nil
	}
	pods, err := c.livePods(ctx, s.mc)
	if err != nil || len(pods) == 0 {
		return err
	}
	return waitFor(messages.WaitForOldPods(podNames(pods)))
}

// waitForTerminating waits, before a Job grows, for terminating pods with an index that is added again. A Job that
// replaces only pods that have ended does so itself. One that another controller created, or that an older server
// stores without that policy, does not.
func (c *Controller) waitForTerminating(ctx context.Context, s *syncState, target int32) error {
	if target <= resources.Parallelism(s.job) || ptr.Deref(s.job.Spec.PodReplacementPolicy, "") == batchv1.Failed {
		return nil
	}
	pods, err := c.livePods(ctx, s.mc)
	if err != nil {
		return err
	}
	terminating := slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		index, ok := resources.PodIndex(&pod)
		return !ok || pod.DeletionTimestamp == nil || index >= target
	})
	if len(terminating) == 0 {
		return nil
	}
	return waitFor(messages.WaitForTerminating(podNames(terminating), resources.Parallelism(s.job), target))
}

// livePods lists the pods of a MiniCluster that have not ended.
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

func podNames(pods []corev1.Pod) []string {
	names := make([]string, 0, len(pods))
	for i := range pods {
		names = append(names, pods[i].Name)
	}
	return names
}
