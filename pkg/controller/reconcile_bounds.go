package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// enforceBounds resets a spec.size that is outside the bounds, before anything is created
// from it. The patch is for the version that was read only, so that a valid size that
// somebody writes in between is not lost.
func (c *Controller) enforceBounds(ctx context.Context, s *syncState) error {
	var parallelism int32
	if s.job != nil && s.job.Spec.Parallelism != nil {
		parallelism = *s.job.Spec.Parallelism
	}
	rejection := resources.CheckSize(s.mc, s.fixed.Maximum, parallelism)
	if rejection == nil {
		return nil
	}
	klog.FromContext(ctx).Info("MiniCluster", "Size", parallelism, "Requested Size", rejection.Requested,
		"Patch Size", rejection.Granted, "Status", "Denied", "reason", rejection.Reason)
	text, err := rejection.Annotation()
	if err != nil {
		return err
	}
	client := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace)
	mc, err := patch(ctx, c, s.key, client, miniclusters, s.mc.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{
			"resourceVersion": s.mc.ResourceVersion,
			"uid":             s.mc.UID,
			"annotations":     map[string]string{v1alpha2.AnnotationDeniedSize: text},
		},
		"spec": map[string]any{"size": rejection.Granted},
	})
	if err != nil {
		return err
	}
	c.metrics.Scaled(rejection.Reason)
	s.setMiniCluster(mc)
	return nil
}
