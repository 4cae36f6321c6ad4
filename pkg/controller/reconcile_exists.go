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

// confirm makes sure that a MiniCluster still exists before anything that it had is
// made again. Objects are missing most often because it was deleted: the garbage
// collector takes them away at once, and our watches may tell of that before they
// tell of the deletion. Of a MiniCluster that was deleted as soon as it was made,
// nothing may be left that tells of its life, but that we began to make something.
func (c *Controller) confirm(ctx context.Context, s *syncState) error {
	if !s.incomplete() {
		return nil
	}
	if !s.existed && !c.fresh.hasBegun(s.key, s.mc.UID) {
		return nil
	}
	// A list, since it takes no further right.
	list, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, s.mc.Name).String(),
	})
	if err != nil {
		return fmt.Errorf("making sure that the MiniCluster still exists: %w", err)
	}
	if !slices.ContainsFunc(list.Items, func(mc v1alpha2.MiniCluster) bool { return mc.UID == s.mc.UID && mc.DeletionTimestamp == nil }) {
		return &staleError{what: string(miniclusters)}
	}
	return nil
}

// incomplete tells whether an object is missing that this controller would make. One
// of ours that looks foreign counts as missing: of the two owners of a ConfigMap, the
// garbage collector takes a deleted MiniCluster away before it deletes the Secret.
func (s *syncState) incomplete() bool {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return false
	}
	return s.job == nil || s.conf == nil || s.service == nil || s.lacking
}
