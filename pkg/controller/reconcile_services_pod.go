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
	"minicluster.internal/operator/pkg/controller/resources"
)

// servicesPodPause is the least age of a services pod that has failed and is replaced.
const servicesPodPause = 10 * time.Second

// keepServicesPod keeps the pod of spec.services running as long as the cluster does.
func (c *Controller) keepServicesPod(ctx context.Context, s *syncState) error {
	pod := s.servicesPod
	if pod == nil {
		wanted, err := wantsServicesPod(s)
		if err != nil || !wanted {
			return err
		}
		return c.createServicesPod(ctx, s)
	}
	switch {
	case !metav1.IsControlledBy(pod, s.mc):
		return &heldError{kind: "Pod", name: pod.Name, holder: describeHolder(pod)}
	case pod.DeletionTimestamp != nil:
		return nil // its end wakes us
	case !servicesLive(s.job):
		return c.deleteServicesPod(ctx, s, "the cluster does not run any more")
	case pod.Status.Phase != corev1.PodFailed:
		return nil
	}
	if age := c.clock.Since(pod.CreationTimestamp.Time); age < servicesPodPause {
		c.queue.AddAfter(s.key, servicesPodPause-age)
		return nil
	}
	return c.deleteServicesPod(ctx, s, "it has failed: "+pod.Status.Reason+" "+pod.Status.Message)
}

// servicesLive tells whether a Job is one that services are there for.
func servicesLive(job *batchv1.Job) bool {
	return hasBeside(job) && resources.FinishedCondition(job) == nil && !resources.Suspended(job)
}

// wantsServicesPod tells whether there should be a services pod. A later edit of
// spec.services has no effect, as that of any other fixed field.
func wantsServicesPod(s *syncState) (bool, error) {
	if len(s.mc.Spec.Services) == 0 || !servicesLive(s.job) {
		return false, nil
	}
	edited, err := resources.EditedFields(s.mc, s.job.Annotations[v1alpha2.AnnotationSpecHash])
	return !slices.Contains(edited, "spec.services"), err
}

func (c *Controller) createServicesPod(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().Pods(s.mc.Namespace)
	pod, err := client.Create(ctx, resources.BuildServicesPod(s.mc, s.fixed), metav1.CreateOptions{FieldManager: fieldManager})
	switch {
	case err == nil:
		s.servicesPod = pod
		c.fresh.wrote(s.key, pods, pod.ResourceVersion)
		klog.FromContext(ctx).Info("Created the services pod")
		return nil
	case apierrors.IsInvalid(err):
		// No retry helps, and the cluster runs without it.
		s.seen.invalid = fmt.Sprintf("the API server refuses the pod that spec.services describes: %v", err)
		return nil
	case !apierrors.IsAlreadyExists(err):
		return fmt.Errorf("creating the services pod: %w", err)
	}
	held, err := client.Get(ctx, resources.ServicesPodName(s.mc), metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading pod %q, which exists already: %w", resources.ServicesPodName(s.mc), err)
	case !metav1.IsControlledBy(held, s.mc):
		return &heldError{kind: "Pod", name: held.Name, holder: describeHolder(held)}
	case resources.HasManagedLabel(held):
		return &staleError{what: "Pods"}
	}
	// Somebody took our label away. It serves all the same.
	return nil
}

func (c *Controller) deleteServicesPod(ctx context.Context, s *syncState, why string) error {
	err := c.kube.CoreV1().Pods(s.mc.Namespace).Delete(ctx, s.servicesPod.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &s.servicesPod.UID},
	})
	if err := ignoreNotFound(err); err != nil {
		return fmt.Errorf("deleting the services pod: %w", err)
	}
	klog.FromContext(ctx).Info("Deleted the services pod", "reason", why)
	return nil
}

// retire ends what lives beside the Job of a MiniCluster that has ended.
func (c *Controller) retire(ctx context.Context, s *syncState) error {
	c.leads.forget(s.key)
	pod := s.servicesPod
	if pod == nil || pod.DeletionTimestamp != nil || !metav1.IsControlledBy(pod, s.mc) {
		return nil
	}
	if err := c.deleteServicesPod(ctx, s, "the work has ended"); err != nil {
		return &besideError{err}
	}
	return nil
}
