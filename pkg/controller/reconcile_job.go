package controller

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// fieldManager names us in the managedFields of what we write.
const fieldManager = v1alpha2.ManagedBy

// job makes the Indexed Job.
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
	client := c.kube.BatchV1().Jobs(s.mc.Namespace)
	job, err := client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsAlreadyExists(err):
		held, getErr := client.Get(ctx, wanted.Name, metav1.GetOptions{})
		switch {
		case getErr != nil:
			return fmt.Errorf("reading Job %q, which exists already: %w", wanted.Name, getErr)
		case metav1.IsControlledBy(held, s.mc):
			return &staleError{what: "Jobs"}
		}
		return &heldError{kind: "Job", name: held.Name, holder: describeHolder(held)}
	case apierrors.IsInvalid(err):
		return &terminalError{
			reason: v1alpha2.ReasonInvalid, message: "the API server refuses the Job that the spec describes: " + err.Error(), retry: isPolicy(err),
		}
	case err != nil:
		return fmt.Errorf("creating the Job: %w", err)
	}
	s.job = job
	s.seen.drain = nil // these brokers know of no drain
	c.fresh.wrote(s.key, jobs, job.ResourceVersion)
	klog.FromContext(ctx).Info("Created the Job", "Size", size, "maximum", s.fixed.Maximum, "layout", s.fixed.Layout)
	c.events.Eventf(s.mc, job, corev1.EventTypeNormal, "Created", "CreateJob",
		"Created Job %s of size %d, maximum %d", job.Name, size, s.fixed.Maximum)
	return nil
}

// adopt takes over a Job of this very MiniCluster that the cache doesn't show:
// another controller made it, before an upgrade, or somebody took our label away.
// It keeps its template, and from now on its size is ours. It is looked for only
// when something tells of a life before this sync.
func (c *Controller) adopt(ctx context.Context, s *syncState) error {
	if s.job != nil || s.foreignJob != nil || !s.existed || s.mc.Status.Finished() {
		return nil
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
		return &staleError{what: "Jobs"}
	}
	metadata := resources.RelabelPatch(job)
	if !resources.CreatedByController(job) {
		metadata["annotations"] = map[string]string{
			v1alpha2.AnnotationAppliedSize: resources.FormatSize(resources.Parallelism(job)),
			v1alpha2.AnnotationMaximumSize: resources.FormatSize(resources.ResolveFixed(s.mc, nil, s.conf).Maximum),
			v1alpha2.AnnotationLayout:      string(resources.ForeignJobLayout(job)),
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	job, err = client.Patch(ctx, job.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("taking over the Job: %w", err)
	}
	s.job = job
	c.fresh.wrote(s.key, jobs, job.ResourceVersion)
	klog.FromContext(ctx).Info("Took over a Job of this MiniCluster that did not carry our label")
	return nil
}

// describeHolder says whose object it is that holds one of our names.
func describeHolder(o metav1.Object) string {
	if ref := metav1.GetControllerOf(o); ref != nil {
		return fmt.Sprintf("it is controlled by %s %q, UID %s", ref.Kind, ref.Name, ref.UID)
	}
	return "it has no controller"
}
