package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// size gives the Job the size that is asked for, when that is a new wish.
func (c *Controller) size(ctx context.Context, s *syncState) error {
	if s.job.DeletionTimestamp != nil || resources.FinishedCondition(s.job) != nil {
		return nil
	}
	target := s.target()
	if target == 0 {
		if s.seen.elsewhere != "" {
			if err := c.lowerQuorum(ctx, s, min(resources.Parallelism(s.job), resources.Completions(s.job))); err != nil {
				return err
			}
		}
		return c.giveBack(ctx, s)
	}
	if target > resources.Parallelism(s.job) && s.seen.certificateLost {
		s.seen.growthRefused = true
		return nil
	}
	if err := c.leaving(ctx, s, target); err != nil {
		return err
	}
	if ready, err := c.prepare(ctx, s, target); err != nil || !ready {
		return err
	}
	if err := c.lowerQuorum(ctx, s, target); err != nil {
		return err
	}
	return c.resize(ctx, s, target)
}

// target is the size that the Job is to get, 0 when it is to be left alone.
// A size of the Job that differs from the one that we gave it last is somebody
// else's work (a queue that admits a part of it) and is left until spec.size
// changes, unless it is out of bounds.
func (s *syncState) target() int32 {
	if resources.LeadCompleted(s.job) {
		// The work is done; servers without success policies would keep the
		// followers for ever.
		if resources.Completions(s.job) == 1 {
			return 0
		}
		return 1
	}
	wanted := s.mc.RequestedSize()
	applied, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationAppliedSize)
	p, n := resources.Parallelism(s.job), resources.Completions(s.job)
	if !known || applied != wanted {
		return wanted
	}
	if p == wanted && n == wanted {
		return 0
	}
	low, high := s.mc.LowerBound(s.fixed.Maximum), s.fixed.Maximum
	if p < low || p > high || n < low || n > high {
		return wanted
	}
	s.seen.elsewhere = fmt.Sprintf("the Job was resized to parallelism %d and completions %d by something else; it is left so until spec.size (%d) changes", p, n, wanted)
	return 0
}

// lowerQuorum makes sure that a lead broker that is replaced later does not wait
// for ranks that are going away now, or that somebody else took away.
func (c *Controller) lowerQuorum(ctx context.Context, s *syncState, target int32) error {
	if s.conf == nil {
		return nil
	}
	recorded, err := strconv.ParseInt(s.conf.Data[resources.KeyQuorum], 10, 32)
	if err != nil {
		return nil //nolint:nilerr // no quorum that we can read is none that we can lower
	}
	quorum := fluxconfig.ShrunkQuorum(int32(recorded), target)
	if quorum == int32(recorded) {
		return nil
	}
	return c.patchConfigMap(ctx, s, map[string]any{
		"metadata": map[string]any{"uid": s.conf.UID},
		"data":     map[string]string{resources.KeyQuorum: resources.FormatSize(quorum)},
	})
}

// resize changes parallelism and completions in one write: Kubernetes allows
// either only together with the other (KEP-3715).
func (c *Controller) resize(ctx context.Context, s *syncState, target int32) error {
	from := resources.Parallelism(s.job)
	annotations := map[string]any{
		v1alpha2.AnnotationAppliedSize:       resources.FormatSize(s.mc.RequestedSize()),
		v1alpha2.AnnotationAppliedGeneration: resources.FormatGeneration(s.mc.Generation),
	}
	c.noteDrained(s, target, annotations)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.job.UID, "annotations": annotations},
		"spec":     map[string]any{"parallelism": target, "completions": target},
	})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	job, err := c.kube.BatchV1().Jobs(s.mc.Namespace).
		Patch(ctx, s.job.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return &staleError{what: "Jobs"}
	}
	if err != nil {
		return fmt.Errorf("resizing the Job from %d to %d: %w", from, target, err)
	}
	s.job = job
	switch {
	case s.seen.undrained != nil:
		c.metrics.drained(s.seen.undrained.reason)
	case s.seen.drain != nil && target < from:
		c.metrics.drained("")
	}
	s.seen.drain = nil // the Job tells of it now
	c.leads.reset(s.key)
	c.fresh.wrote(s.key, jobs, job.ResourceVersion)
	c.metrics.scaled(v1alpha2.ReasonWithinBounds)
	klog.FromContext(ctx).Info("MiniCluster", "Size", from, "Requested Size", target, "Status", "Accepted")
	if from != target {
		c.events.Eventf(s.mc, job, corev1.EventTypeNormal, "Resized", "ResizeJob", "Resized from %d to %d", from, target)
	}
	if e := s.seen.undrained; e != nil {
		c.events.Eventf(s.mc, job, e.kind, e.reason, e.action, "%s", e.message)
	}
	return nil
}
