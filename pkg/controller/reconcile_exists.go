package controller

import (
	"context"
	"fmt"

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
	mc, err := c.currentMiniCluster(ctx, s)
	if err != nil {
		return err
	}
	// An earlier leader may have recorded a Job, or the end, that this cache does not show yet.
	current, known := mc.Status, s.mc.Status
	if s.job == nil && (current.Finished() || current.JobID != "" && current.JobID != known.JobID ||
		(current.Hibernation == nil) != (known.Hibernation == nil)) {
		return stale(miniclusters)
	}
	return nil
}

// checkExists returns an error if the MiniCluster does not exist any more, or is being deleted.
func (c *Controller) checkExists(ctx context.Context, s *syncState) error {
	_, err := c.currentMiniCluster(ctx, s)
	return err
}

// currentMiniCluster reads the MiniCluster from the API server. If it does not exist any more, or is being deleted, the
// cache is stale.
func (c *Controller) currentMiniCluster(ctx context.Context, s *syncState) (*v1alpha2.MiniCluster, error) {
	mc, err := serverReader{c}.miniCluster(ctx, s.key)
	if err != nil {
		return nil, fmt.Errorf("checking that the MiniCluster still exists: %w", err)
	}
	if mc == nil || mc.UID != s.mc.UID || mc.DeletionTimestamp != nil {
		return nil, stale(miniclusters)
	}
	return mc, nil
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
