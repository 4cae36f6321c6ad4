package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// ensureExists checks that a MiniCluster still exists before one of its objects is created again. The most frequent
// reason for a missing object is that the MiniCluster was deleted: the garbage collector deletes its objects at once,
// and the watches may report that before the deletion of the MiniCluster. For a MiniCluster that was deleted right
// after its creation, the only evidence may be this process's record that it started to create objects.
func (c *Controller) ensureExists(ctx context.Context, s *syncState) error {
	if !s.incomplete() {
		return nil
	}
	if !s.hasHistory && !c.consistency.hasStarted(s.key, s.mc.UID) {
		return nil
	}
	// A list needs no additional right.
	list, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, s.mc.Name).String(),
	})
	if err != nil {
		return fmt.Errorf("checking that the MiniCluster still exists: %w", err)
	}
	index := slices.IndexFunc(list.Items, func(mc v1alpha2.MiniCluster) bool { return mc.UID == s.mc.UID && mc.DeletionTimestamp == nil })
	if index < 0 {
		return stale(miniclusters)
	}
	// An earlier leader may have recorded a Job, or the end, that this cache does not show yet.
	current := list.Items[index].Status
	if s.job == nil && (current.Finished() || current.JobID != "" && current.JobID != s.mc.Status.JobID) {
		return stale(miniclusters)
	}
	return nil
}

// incomplete reports whether an object that this controller creates is missing. An object that has lost its owner
// reference to the MiniCluster counts as missing: the garbage collector removes a deleted MiniCluster from the two
// owners of a ConfigMap before it deletes the Secret.
func (s *syncState) incomplete() bool {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return false
	}
	return s.job == nil || s.configMap == nil || s.service == nil || s.missingAuxiliaries
}
