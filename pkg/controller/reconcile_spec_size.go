package controller

import (
	"context"
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
	if mc, err = c.disown(ctx, s, mc); err != nil {
		return err
	}
	s.setMiniCluster(mc)
	return nil
}

// disown gives up the ownership of what the controller wrote in a MiniCluster, and returns the MiniCluster afterwards.
// Otherwise a server-side apply of another size would be a conflict with the controller, also for users who have not
// used server-side apply before. The fields keep their values, and other managers keep their fields. The API server
// adds the author of a write to the managers that the write contains, so this needs a second write.
//
// If another client writes in between, the ownership of that newer version is given up. The MiniCluster of the first
// write is returned, so that the sync does not use a size that it has not checked.
func (c *Controller) disown(ctx context.Context, s *syncState, written *v1alpha2.MiniCluster) (*v1alpha2.MiniCluster, error) {
	client := c.flux.FluxFrameworkV1alpha2().MiniClusters(written.Namespace)
	latest := written
	for range maxDisownAttempts {
		if !slices.ContainsFunc(latest.ManagedFields, isOwn) {
			return written, nil
		}
		disowned, err := patch(ctx, c, s.key, client, miniclusters, latest.Name, types.MergePatchType, map[string]any{"metadata": map[string]any{
			"resourceVersion": latest.ResourceVersion, "uid": latest.UID,
			"managedFields": slices.DeleteFunc(slices.Clone(latest.ManagedFields), isOwn),
		}})
		switch {
		case err == nil && latest == written:
			return disowned, nil
		case err == nil:
			return written, nil
		case !apierrors.IsConflict(err):
			return nil, err
		}
		// Not a get: the controller has no right to get MiniClusters.
		if latest, err = c.currentMiniCluster(ctx, s); err != nil {
			return nil, err
		}
	}
	klog.FromContext(ctx).V(1).Info("Kept the ownership of spec.size, because the MiniCluster changes all the time")
	return written, nil
}

// maxDisownAttempts is how often disown tries again after concurrent writes of others.
const maxDisownAttempts = 5

// isOwn reports whether an entry of managedFields is that of this controller, except that of the status.
func isOwn(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == fieldManager && entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == ""
}
