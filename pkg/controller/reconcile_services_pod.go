package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// servicesPodBackoff is the minimal age of a failed services pod before it is replaced.
const servicesPodBackoff = 10 * time.Second

// keepServicesPod keeps the pod of spec.services running for as long as the cluster runs.
func (c *Controller) keepServicesPod(ctx context.Context, s *syncState) error {
	pod := s.servicesPod
	if pod == nil {
		wanted, err := wantsServicesPod(s)
		if err != nil || !wanted {
			return err
		}
		return c.createServicesPod(ctx, s)
	}
	if resources.IsOrphan(s.mc, pod) {
		var err error
		if pod, err = adoptOrphan(ctx, c, s, c.kube.CoreV1().Pods(s.mc.Namespace), pods, pod, nil); err != nil {
			return err
		}
		s.servicesPod = pod
	}
	switch {
	case !metav1.IsControlledBy(pod, s.mc):
		return foreign(pods.kind(), pod)
	case pod.DeletionTimestamp != nil:
		return nil // an event reports its end
	case !needsServices(s.job):
		return c.deleteServicesPod(ctx, s, "the cluster does not run")
	case pod.Status.Phase != corev1.PodFailed:
		return nil
	}
	if age := c.clock.Since(pod.CreationTimestamp.Time); age < servicesPodBackoff {
		s.requeueAfter(servicesPodBackoff - age)
		return nil
	}
	return c.deleteServicesPod(ctx, s, "it failed: "+pod.Status.Reason+" "+pod.Status.Message)
}

// needsServices reports whether a Job runs, which is when its services should run.
func needsServices(job *batchv1.Job) bool {
	return hasAuxiliaries(job) && resources.FinishedCondition(job) == nil && !resources.Suspended(job)
}

// wantsServicesPod reports whether there should be a services pod. A later edit of spec.services has no effect, like
// that of any other immutable field.
func wantsServicesPod(s *syncState) (bool, error) {
	if len(s.mc.Spec.Services) == 0 || !needsServices(s.job) {
		return false, nil
	}
	edited, err := resources.EditedFields(s.mc, s.job.Annotations[v1alpha2.AnnotationSpecHash])
	return !slices.Contains(edited, "spec.services"), err
}

func (c *Controller) createServicesPod(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Pods(s.mc.Namespace)
	pod, created, err := createOwned(ctx, c, s, client, pods, resources.BuildServicesPod(s.mc, s.fixed), ownership[*corev1.Pod]{
		labelLost: func(found *corev1.Pod) (*corev1.Pod, error) { return restoreLabel(ctx, c, s, client, pods, found, nil) },
	})
	switch {
	case created:
		s.servicesPod = pod
		klog.FromContext(ctx).Info("Created the services pod")
		return nil
	case apierrors.IsInvalid(err):
		// A retry does not help, and the cluster runs without it.
		s.observed.Invalid = messages.ObjectInvalid("the pod that spec.services describes", err)
		return nil
	}
	return err
}

func (c *Controller) deleteServicesPod(ctx context.Context, s *syncState, why string) error {
	err := c.kube.CoreV1().Pods(s.mc.Namespace).Delete(ctx, s.servicesPod.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &s.servicesPod.UID},
	})
	if ignoreNotFound(err) != nil {
		return fmt.Errorf("deleting the services pod: %w", err)
	}
	klog.FromContext(ctx).Info("Deleted the services pod", "reason", why)
	return nil
}

// cleanupFinished deletes objects that a finished MiniCluster does not need.
func (c *Controller) cleanupFinished(ctx context.Context, s *syncState) error {
	c.agents.Forget(s.name())
	pod := s.servicesPod
	if pod == nil || pod.DeletionTimestamp != nil || !metav1.IsControlledBy(pod, s.mc) {
		return nil
	}
	if err := c.deleteServicesPod(ctx, s, "the work has finished"); err != nil {
		return &auxiliaryError{err}
	}
	return nil
}
