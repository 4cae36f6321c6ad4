package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// nodeDrains drains the ranks of pods on nodes that go away, and undrains those whose pods are on other nodes now. It
// evicts pods of nodes that will be deleted once their ranks are idle. A MiniCluster without such pods takes no
// request. Errors affect only objects that the cluster works without.
func (c *Controller) nodeDrains(ctx context.Context, s *syncState) error {
	s.observed.NodeDrains = s.mc.Status.NodeDrains
	if s.hibernated != nil {
		s.observed.NodeDrains = nil // new brokers have drained no ranks
	}
	ended := s.hibernated != nil || s.mc.Status.Finished()
	if c.nodes != nil && ended && len(s.mc.Status.NodeDrains) > 0 {
		c.nodes.forgetCluster(s.key)
	}
	if s.job == nil || s.mc.Status.Finished() {
		return nil
	}
	if err := c.disruptionBudget(ctx, s); err != nil {
		return &auxiliaryError{fmt.Errorf("disruption budget: %w", err)}
	}
	if !c.drains(s) || !hasBrokers(s) || s.observed.CertificateLost || resources.LeadElsewhere(s.mc) {
		return nil
	}
	if err := c.drainNodes(ctx, s); err != nil {
		return &auxiliaryError{fmt.Errorf("nodes that go away: %w", err)}
	}
	return nil
}

func (c *Controller) drainNodes(ctx context.Context, s *syncState) error {
	recorded := s.mc.Status.NodeDrains
	var nodes, returned []drain.Node
	if c.nodes != nil {
		nodes, returned = c.nodes.of(s.key, s.job.UID)
		known, err := c.loadNodes(ctx, s, recorded, len(nodes) > 0)
		if err != nil {
			return err
		}
		if !known {
			s.requeueAfter(nodeListMin) // a rank must not be undrained before its node is known
			return nil
		}
	}
	switch {
	case len(nodes) == 0 && len(returned) == 0 && len(recorded) == 0 && !c.allowsEviction(s):
		return nil
	case len(nodes) > 0:
		s.observed.NodeDrains = drain.RecordNodes(nodes, recorded, c.clock.Now())
	}
	if len(recorded) == 0 && len(nodes) > 0 {
		// The status records the drain before it starts, so that the next leader knows that ranks may have to be undrained.
		s.requeueAfter(drainStart)
		return nil
	}
	// A pod must not be evicted as idle when its rank gets jobs again.
	if reset, err := c.resetRankStates(ctx, s, returned); err != nil || !reset {
		return err
	}
	if c.nodes != nil {
		c.nodes.refresh(s.key, s.job.ResourceVersion, nodes)
	}
	request := drain.NodeRequest(nodes)
	answer, err := c.pollNodes(ctx, s, request)
	if err != nil {
		return err
	}
	if answer != nil && answer.Err != nil {
		if err := c.protectUnknown(ctx, s, answer.Failures); err != nil {
			return err
		}
	}
	state := c.nodeAnswer(ctx, s, nodes, request, answer)
	if err := c.leaveNodes(ctx, s, nodes, state); err != nil || state == nil || !c.allowsEviction(s) {
		return err
	}
	return c.allowEviction(ctx, s, state.Free)
}

// pollNodes sends the nodes to the agent of the lead broker and returns its answer, nil if there is none yet.
func (c *Controller) pollNodes(ctx context.Context, s *syncState, request control.Drain) (*agents.NodesAnswer, error) {
	if s.lead != nil && stateOfLead(s.lead).running {
		c.agents.SetNodesLead(s.name(), s.mc.UID, s.lead.Status.PodIP)
	}
	answer, ask, after := c.agents.TakeNodes(s.name(), s.mc.UID, request)
	if answer != nil || !ask {
		s.requeueAfter(after)
		return answer, nil
	}
	if s.lead == nil {
		return nil, nil
	}
	lead := stateOfLead(s.lead)
	if !lead.running || lead.ip == "" {
		return nil, nil // an event reports when it runs
	}
	if connected, _ := c.agents.Connection(s.name(), s.mc.UID); !connected {
		err := c.makeAgentClient(ctx, s)
		if errors.Is(err, control.ErrNoCredentials) {
			return &agents.NodesAnswer{Err: err, Unsupported: true}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	c.agents.AskNodes(s.name(), s.mc.UID, lead.ip, resources.ControlPort(s.job), request)
	return nil, nil
}

// nodeAnswer records and reports an answer of the agent. It returns the state of the ranks, nil if it is unknown.
func (c *Controller) nodeAnswer(ctx context.Context, s *syncState, nodes []drain.Node, request control.Drain, answer *agents.NodesAnswer) *control.DrainState {
	switch {
	case answer == nil:
		return nil
	case answer.Err != nil:
		klog.FromContext(ctx).V(1).Info("The agent failed to drain the ranks of nodes", "reason", resources.Quote(answer.Err.Error()))
		after := drain.UnsupportedInterval
		if !answer.Unsupported {
			_, _, after = c.agents.TakeNodes(s.name(), s.mc.UID, request)
		} else {
			c.agents.PauseNodes(s.name(), after)
		}
		s.requeueAfter(after)
		return nil
	}
	state := answer.State
	recorded := s.observed.NodeDrains
	s.observed.NodeDrains = drain.NodeStatus(nodes, state.Busy, recorded, c.clock.Now())
	if !state.Drained.Empty() {
		c.events.Eventf(s.mc, s.job, corev1.EventTypeNormal, "NodeDraining", "DrainRanks", "%s", messages.NodeDraining(drain.RankSet(state.Drained), describeNodes(nodes)))
	}
	if !state.Returned.Empty() {
		c.events.Eventf(s.mc, s.job, corev1.EventTypeNormal, "NodeUndrained", "UndrainRanks", "%s", messages.NodeUndrained(drain.RankSet(state.Returned)))
	}
	if c.nodes != nil {
		names := make([]string, 0, len(recorded))
		for i := range recorded {
			names = append(names, recorded[i].Node)
		}
		c.nodes.forget(s.key, names)
	}
	after := time.Duration(0)
	switch {
	case len(nodes) > 0:
		after = drain.NodeInterval(nodes, request, state)
	case c.allowsEviction(s):
		after = c.idleCheck()
	default:
		return nil
	}
	c.agents.PauseNodes(s.name(), after)
	s.requeueAfter(after)
	return &state
}

// maxNamedNodes is the number of nodes that an event names.
const maxNamedNodes = 3

func describeNodes(nodes []drain.Node) string {
	var all []string
	for i := range nodes[:min(len(nodes), maxNamedNodes)] {
		all = append(all, nodes[i].Name+": "+nodes[i].Reason)
	}
	if more := len(nodes) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}
