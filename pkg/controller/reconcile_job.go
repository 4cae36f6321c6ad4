package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// job creates the Indexed Job.
func (c *Controller) job(ctx context.Context, s *syncState) error {
	if s.job != nil {
		return nil
	}
	size := s.mc.RequestedSize()
	wanted, err := resources.BuildJob(s.mc, s.fixed, c.environment, size)
	if err != nil {
		return err
	}
	if wanted.Annotations[v1alpha2.AnnotationConfigHash], err = resources.ConfigHash(s.mc, s.fixed, c.environment); err != nil {
		return err
	}
	resources.PauseDeadline(&wanted.Spec, s.hibernated)
	if err := c.leadPlacement(ctx, s, wanted); err != nil {
		return err
	}
	// A Job without the label is adopted by the next sync.
	job, created, err := createOwned(ctx, c, s, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, wanted, ownership[*batchv1.Job]{})
	switch {
	case apierrors.IsInvalid(err):
		return invalidObject("the Job that the spec describes", err)
	case err != nil || !created:
		return err
	}
	s.job = job
	s.observed.Drain = nil // new brokers have drained no ranks
	s.observed.Hibernation = nil
	klog.FromContext(ctx).Info("Created the Job", "Size", size, "maximum", s.fixed.Maximum, "layout", s.fixed.Layout)
	c.throttle.Created(job.Namespace)
	c.events.Eventf(s.mc, job, corev1.EventTypeNormal, "Created", "CreateJob", messages.JobCreated, job.Name, size, s.fixed.Maximum)
	return nil
}

// adopt takes over a Job of this MiniCluster that the cache does not contain: another controller created it before an
// upgrade, or its label was removed. The Job keeps its template, and this controller sets its size from now on. The
// Job is looked up only if the MiniCluster has a history.
func (c *Controller) adopt(ctx context.Context, s *syncState) error {
	if s.job != nil || s.foreignJob != nil || !s.hasHistory || s.mc.Status.Finished() {
		return nil
	}
	if s.hibernated != nil && resources.StopCause(s.mc, s.hibernated) != "" {
		return nil // there is none
	}
	client := c.kube.BatchV1().Jobs(s.mc.Namespace)
	job, err := client.Get(ctx, resources.JobName(s.mc), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for a Job of this MiniCluster: %w", err)
	}
	switch {
	case !metav1.IsControlledBy(job, s.mc):
		s.foreignJob = job
		return nil
	case resources.HasManagedLabel(job):
		return stale(jobs)
	}
	metadata := map[string]any{}
	if !resources.CreatedByController(job) {
		metadata["annotations"] = map[string]string{
			v1alpha2.AnnotationAppliedSize: resources.FormatSize(resources.Parallelism(job)),
			v1alpha2.AnnotationMaximumSize: resources.FormatSize(resources.ResolveFixed(s.mc, nil, s.configMap).Maximum),
			v1alpha2.AnnotationLayout:      string(resources.ForeignJobLayout(job)),
		}
	}
	s.job, err = restoreLabel(ctx, c, s, client, jobs, job, metadata)
	return err
}
