package controller

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// lowerQuorum makes sure that a lead broker that is replaced later does not wait for ranks that are removed now, or
// that were removed by something else.
func (c *Controller) lowerQuorum(ctx context.Context, s *syncState, target int32) error {
	if s.configMap == nil {
		return nil
	}
	recorded, err := strconv.ParseInt(s.configMap.Data[resources.KeyQuorum], 10, 32)
	if err != nil {
		return nil //nolint:nilerr // a quorum that can't be read can't be lowered
	}
	quorum := fluxconfig.ShrunkQuorum(int32(recorded), target)
	if quorum == int32(recorded) {
		return nil
	}
	data := maps.Clone(s.configMap.Data)
	data[resources.KeyQuorum] = resources.FormatSize(quorum)
	metadata := map[string]any{"uid": s.configMap.UID}
	if !resources.IsEdited(s.configMap) { // an edit stays visible until it is reverted
		metadata["annotations"] = map[string]string{v1alpha2.AnnotationDataHash: resources.DataHash(data)}
	}
	err = c.patchConfigMap(ctx, s, map[string]any{
		"metadata": metadata,
		"data":     map[string]string{resources.KeyQuorum: data[resources.KeyQuorum]},
	})
	if err == nil {
		c.agents.QuorumLowered(s.name(), s.mc.UID, quorum)
	}
	return err
}

// sendQuorum sends a lowered quorum to the agent of a lead that may still wait for it: the mounted ConfigMap changes
// only after about a minute. A lead that is ready does not wait.
func (c *Controller) sendQuorum(ctx context.Context, s *syncState) error {
	quorum, after := c.agents.QuorumToSend(s.name(), s.mc.UID)
	s.requeueAfter(after)
	if quorum == 0 || s.lead == nil || resources.LeadElsewhere(s.mc) {
		return nil
	}
	lead := stateOfLead(s.lead)
	if lead.ready {
		c.agents.QuorumSent(s.name(), s.mc.UID)
		return nil
	}
	if !lead.running || lead.ip == "" {
		return nil // an event reports when it runs
	}
	if connected, _ := c.agents.Connection(s.name(), s.mc.UID); !connected {
		err := c.makeAgentClient(ctx, s)
		if errors.Is(err, control.ErrNoCredentials) {
			c.agents.QuorumSent(s.name(), s.mc.UID)
			return nil
		}
		if err != nil {
			return err
		}
	}
	c.agents.SendQuorum(s.name(), s.mc.UID, lead.ip, resources.ControlPort(s.job), quorum)
	return nil
}
