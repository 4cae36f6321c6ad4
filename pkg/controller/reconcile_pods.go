package controller

import (
	"context"
	"fmt"

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
	var names []string
	var orphans []podRef
	err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) {
		if resources.PodEnded(pod) {
			return
		}
		names = append(names, pod.Name)
		if isOrphanPod(pod, "") {
			orphans = append(orphans, podRef{pod.Name, pod.UID})
		}
	})
	if err != nil || len(names) == 0 {
		return err
	}
	if err := c.deleteOrphanPods(ctx, s, orphans); err != nil {
		return err
	}
	return waitFor(messages.WaitForOldPods(names))
}

// waitForTerminating waits, before a Job grows, for terminating pods with an index that is added again. A Job that
// replaces only pods that have ended does so itself. One that another controller created, or that an older server
// stores without that policy, does not.
func (c *Controller) waitForTerminating(ctx context.Context, s *syncState, target int32) error {
	if target <= resources.Parallelism(s.job) || ptr.Deref(s.job.Spec.PodReplacementPolicy, "") == batchv1.Failed {
		return nil
	}
	var terminating []string
	err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) {
		index, ok := resources.PodIndex(pod)
		if ok && pod.DeletionTimestamp != nil && index < target && !resources.PodEnded(pod) {
			terminating = append(terminating, pod.Name)
		}
	})
	if err != nil || len(terminating) == 0 {
		return err
	}
	return waitFor(messages.WaitForTerminating(terminating, resources.Parallelism(s.job), target))
}

// podPage is the number of pods that are read at once: about a megabyte.
const podPage = 100

// eachPod calls a function with each pod of a MiniCluster. The pods are read in pages, and
// only one page is read in the process at a time: those of a large cluster all together
// take hundreds of megabytes. So the function must not keep a pod.
func (c *Controller) eachPod(ctx context.Context, mc *v1alpha2.MiniCluster, selector string, visit func(*corev1.Pod)) error {
	options := metav1.ListOptions{LabelSelector: selector, Limit: podPage}
	for {
		next, err := c.visitPage(ctx, mc.Namespace, options, visit)
		if err != nil {
			return fmt.Errorf("listing the pods: %w", err)
		}
		if next == "" {
			return nil
		}
		options.Continue = next
	}
}

// visitPage reads a page of pods, and returns the token of the next one.
func (c *Controller) visitPage(ctx context.Context, namespace string, options metav1.ListOptions, visit func(*corev1.Pod)) (string, error) {
	select {
	case c.podReads <- struct{}{}:
		defer func() { <-c.podReads }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	page, err := c.kube.CoreV1().Pods(namespace).List(ctx, options)
	if err != nil {
		return "", err
	}
	for i := range page.Items {
		visit(&page.Items[i])
	}
	return page.Continue, nil
}

// eachPodOfJob calls a function with each pod of a Job.
func (c *Controller) eachPodOfJob(ctx context.Context, mc *v1alpha2.MiniCluster, job *batchv1.Job, visit func(*corev1.Pod)) error {
	return c.eachPod(ctx, mc, resources.PodSelector(mc), func(pod *corev1.Pod) {
		if metav1.IsControlledBy(pod, job) {
			visit(pod)
		}
	})
}
