package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/status"
)

// statusInput returns the input of the status.
func (c *Controller) statusInput(s *syncState, err error) status.Input {
	return status.Input{
		MiniCluster: s.mc, Fixed: s.fixed, Environment: c.environment,
		Job: s.job, ConfigMap: s.configMap, LeadReady: c.leadReady(s), Outcome: classify(err).report(), Observed: s.observed,
	}
}

// writeStatus writes the status if it changed, and then sends the events that report the change. It reports whether
// the status is up to date: changes of readiness alone, and where many Jobs are created the first status, are written
// later, see Throttle.
func (c *Controller) writeStatus(ctx context.Context, s *syncState, syncErr error) (bool, error) {
	before := s.mc.Status
	after, events := status.Compute(c.statusInput(s, syncErr))
	if equality.Semantic.DeepEqual(before, after) {
		return true, nil
	}
	if wait := c.throttle.Wait(s.name(), before, after); wait > 0 {
		s.requeueAfter(wait)
		return false, nil
	}
	mc := s.mc.DeepCopy()
	mc.Status = after
	written, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace).
		UpdateStatus(ctx, mc, metav1.UpdateOptions{FieldManager: fieldManager})
	if ignoreNotFound(err) != nil {
		return false, fmt.Errorf("writing the status: %w", err)
	}
	if err != nil {
		return true, nil //nolint:nilerr // a deleted MiniCluster needs no status
	}
	c.throttle.Written(s.name())
	c.consistency.WroteAt(s.key, miniclusters, written.ResourceVersion)
	for _, e := range events {
		c.events.Eventf(s.mc, nil, e.Type, e.Reason, e.Action, "%s", e.Message)
	}
	s.setMiniCluster(written)
	return true, nil
}
