package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// report writes the status when it changed, and sends the events that the change
// stands for once it is written. Mere changes of readiness are written at most
// once a second.
func (c *Controller) report(ctx context.Context, s *syncState, err error) error {
	before := s.mc.Status
	after := newStatus(s, err)
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if !urgent(before, after) {
		if wait := c.pace.wait(s.key); wait > 0 {
			return &delayError{after: wait}
		}
	}
	mc := s.mc.DeepCopy()
	mc.Status = after
	written, updateErr := c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace).
		UpdateStatus(ctx, mc, metav1.UpdateOptions{FieldManager: fieldManager})
	if updateErr != nil {
		if ignoreNotFound(updateErr) == nil {
			return nil
		}
		return fmt.Errorf("writing the status: %w", updateErr)
	}
	c.pace.wrote(s.key)
	c.fresh.wrote(s.key, miniclusters, written.ResourceVersion)
	for _, e := range statusEvents(before, after) {
		c.events.Eventf(s.mc, nil, e.kind, e.reason, e.action, "%s", e.message)
	}
	s.set(written)
	return nil
}

// urgent tells whether a change of the status is more than pods becoming ready.
func urgent(before, after v1alpha2.MiniClusterStatus) bool {
	return !equality.Semantic.DeepEqual(withoutReadiness(before), withoutReadiness(after))
}

func withoutReadiness(status v1alpha2.MiniClusterStatus) v1alpha2.MiniClusterStatus {
	status = *status.DeepCopy()
	status.Size, status.ReadySize = 0, 0
	meta.RemoveStatusCondition(&status.Conditions, v1alpha2.ConditionReady)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha2.ConditionProgressing)
	return status
}
