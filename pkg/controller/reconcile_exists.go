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

// ensureExists makes sure that a MiniCluster still exists before an object that it had is
// created again. Objects are missing most often because the MiniCluster was deleted: the
// garbage collector deletes them at once, and the watches may report that before they
// report the deletion. Of a MiniCluster that was deleted right after its creation only the
// memory that the controller started to create something may be left.
func (c *Controller) ensureExists(ctx context.Context, s *syncState) error {
	if !s.incomplete() {
		return nil
	}
	if !s.hasHistory && !c.consistency.hasStarted(s.key, s.mc.UID) {
		return nil
	}
	// A list, since it needs no further permission.
	list, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, s.mc.Name).String(),
	})
	if err != nil {
		return fmt.Errorf("checking that the MiniCluster still exists: %w", err)
	}
	if !slices.ContainsFunc(list.Items, func(mc v1alpha2.MiniCluster) bool { return mc.UID == s.mc.UID && mc.DeletionTimestamp == nil }) {
		return stale(miniclusters)
	}
	return nil
}

// incomplete reports whether an object is missing that this controller creates. One of the
// MiniCluster that looks foreign counts as missing: of the two owners of a ConfigMap, the
// garbage collector removes a deleted MiniCluster before it deletes the Secret.
func (s *syncState) incomplete() bool {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return false
	}
	return s.job == nil || s.configMap == nil || s.service == nil || s.missingAuxiliaries
}
