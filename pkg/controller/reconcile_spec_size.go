package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

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
	if mc, err = c.disownSize(ctx, s, mc); err != nil {
		return err
	}
	s.setMiniCluster(mc)
	return nil
}

// disownSize gives up the ownership of spec.size after a write of the controller if a user uses server-side apply.
// Otherwise their next apply with another size would be a conflict. Other managed fields do not change. If another
// client has changed the MiniCluster since, the ownership is kept.
func (c *Controller) disownSize(ctx context.Context, s *syncState, mc *v1alpha2.MiniCluster) (*v1alpha2.MiniCluster, error) {
	applied := slices.ContainsFunc(mc.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
		return m.Operation == metav1.ManagedFieldsOperationApply
	})
	if !applied {
		return mc, nil
	}
	managers, err := withoutSize(mc.ManagedFields)
	if err != nil {
		return nil, err
	}
	client := c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace)
	disowned, err := patch(ctx, c, s.key, client, miniclusters, mc.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"resourceVersion": mc.ResourceVersion, "uid": mc.UID, "managedFields": managers},
	})
	if apierrors.IsConflict(err) {
		klog.FromContext(ctx).V(1).Info("Kept the ownership of spec.size, because the MiniCluster changed")
		return mc, nil
	}
	return disowned, err
}

// withoutSize returns managed fields in which this controller does not own spec.size.
func withoutSize(managers []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	var left []metav1.ManagedFieldsEntry
	for _, entry := range managers {
		if entry.Manager != fieldManager || entry.Operation != metav1.ManagedFieldsOperationUpdate || entry.Subresource != "" || entry.FieldsV1 == nil {
			left = append(left, entry)
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return nil, fmt.Errorf("decoding the fields of manager %q: %w", entry.Manager, err)
		}
		if spec, ok := fields["f:spec"].(map[string]any); ok {
			delete(spec, "f:size")
			if len(spec) == 0 {
				delete(fields, "f:spec")
			}
		}
		if len(fields) == 0 {
			continue
		}
		text, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("encoding the fields of manager %q: %w", entry.Manager, err)
		}
		entry.FieldsV1 = metav1.NewFieldsV1(string(text))
		left = append(left, entry)
	}
	return left, nil
}
