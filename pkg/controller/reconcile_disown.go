package controller

import (
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// disownSize gives up the ownership of spec.size that is left from an earlier sync, which ended between its two
// writes, or that an earlier version of the controller kept. The cache has no managers of other fields, so this reads
// the MiniCluster. The next sync starts with the version that was written.
func (c *Controller) disownSize(ctx context.Context, s *syncState) error {
	if !s.ownsSize {
		return nil
	}
	mc, err := c.currentMiniCluster(ctx, s)
	if err != nil {
		return err
	}
	if _, err = c.disown(ctx, s, mc); err != nil {
		return err
	}
	return stale(miniclusters)
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

// ownsSpec reports whether an entry of managedFields is that of this controller and contains a field of the spec. That
// of a finalizer remains with the controller.
func ownsSpec(entry metav1.ManagedFieldsEntry) bool {
	return isOwn(entry) && entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:spec":`)
}

// trimMiniCluster is trim for MiniClusters. It keeps those managers of which ownsSpec is true: usually none.
func trimMiniCluster(obj any) (any, error) {
	mc, ok := obj.(*v1alpha2.MiniCluster)
	if !ok {
		return trim(obj)
	}
	var own []metav1.ManagedFieldsEntry
	for i := range mc.ManagedFields {
		if ownsSpec(mc.ManagedFields[i]) {
			own = append(own, mc.ManagedFields[i])
		}
	}
	trimmed, err := trim(mc)
	mc.ManagedFields = own
	return trimmed, err
}
