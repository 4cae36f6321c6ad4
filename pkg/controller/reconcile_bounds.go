package controller

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// bounds puts a size back that is outside the bounds, before anything is made
// from it. The patch holds only for the version that was looked at: a valid size
// that somebody writes in between is not lost.
func (c *Controller) bounds(ctx context.Context, s *syncState) error {
	var parallelism int32
	if s.job != nil && s.job.Spec.Parallelism != nil {
		parallelism = *s.job.Spec.Parallelism
	}
	d := resources.CheckSize(s.mc, s.fixed.Maximum, parallelism)
	if d == nil {
		return nil
	}
	klog.FromContext(ctx).Info("MiniCluster",
		"Size", parallelism, "Requested Size", d.Requested, "Patch Size", d.Granted, "Status", "Denied", "reason", d.Reason)
	text, err := d.Annotation()
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": s.mc.ResourceVersion,
			"uid":             s.mc.UID,
			"annotations":     map[string]string{v1alpha2.AnnotationDeniedSize: text},
		},
		"spec": map[string]any{"size": d.Granted},
	})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	mc, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).
		Patch(ctx, s.mc.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return &staleError{what: string(miniclusters)}
	}
	if err != nil {
		return fmt.Errorf("putting spec.size back to %d: %w", d.Granted, err)
	}
	c.fresh.wrote(s.key, miniclusters, mc.ResourceVersion)
	c.metrics.scaled(d.Reason)
	s.set(mc)
	return nil
}
