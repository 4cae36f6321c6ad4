package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// fillSize sets spec.size if it is not set: to the last size of the Job, so that an apply without the field does not
// resize a cluster that another client scales, or wake one that hibernates at size 0, or to the smallest size if there
// is no Job. The scale subresource cannot be read without the field.
func (c *Controller) fillSize(ctx context.Context, s *syncState) error {
	if !s.sizeUnset {
		return nil
	}
	size := s.mc.RequestedSize()
	if h := s.hibernated; h != nil {
		size = h.Size
		if h.Cause == v1alpha2.CauseScaledToZero && s.mc.ScalesToZero() {
			size = 0
		}
	}
	if s.job != nil {
		size = resources.Parallelism(s.job)
		if applied, ok := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationAppliedSize); ok {
			size = applied
		}
	}
	return c.writeSize(ctx, s, size, nil)
}

// writeSize writes spec.size and annotations. The patch applies only to the version that was read, so that a size
// that another client writes concurrently is not lost.
func (c *Controller) writeSize(ctx context.Context, s *syncState, size int32, annotations map[string]string) error {
	metadata := map[string]any{"resourceVersion": s.mc.ResourceVersion, "uid": s.mc.UID}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	client := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace)
	mc, err := patch(ctx, c, s.key, client, miniclusters, s.mc.Name, types.MergePatchType, map[string]any{
		"metadata": metadata,
		"spec":     map[string]any{"size": size},
	})
	if err != nil {
		return err
	}
	if mc, err = c.disown(ctx, s, mc); err != nil {
		return err
	}
	s.setMiniCluster(mc)
	return nil
}
