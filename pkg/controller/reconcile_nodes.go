package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
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
		for i := range recorded {
			if !c.nodes.load(recorded[i].Node) {
				s.requeueAfter(nodeListMin) // a rank must not be undrained before its node is known
				return nil
			}
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
	for i := range returned {
		for _, pod := range returned[i].Pods {
			if err := c.setRankState(ctx, s, &returned[i], pod, ""); err != nil {
				return err
			}
		}
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
		c.nodes.forget(names)
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

// leaveNodes reports the state of the ranks on their pods, and evicts pods that have to leave.
func (c *Controller) leaveNodes(ctx context.Context, s *syncState, nodes []drain.Node, state *control.DrainState) error {
	for i := range nodes {
		node := &nodes[i]
		in := drain.NodeInput{MiniCluster: s.mc, Now: c.clock.Now(), Since: c.clock.Now(), State: state}
		if recorded := drain.RecordedNode(s.observed.NodeDrains, node.Name); recorded != nil {
			in.Since = recorded.Since.Time
		}
		s.requeueAfter(drain.NodeTimeout(in, node.NodeState))
		for _, pod := range node.Pods {
			decision := drain.DecidePod(in, node.NodeState, pod)
			if decision.State != "" {
				if err := c.setRankState(ctx, s, node, pod, decision.State); err != nil {
					return err
				}
			}
			if decision.Evict {
				if err := c.evict(ctx, s, node, pod, !decision.TimedOut); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// setRankState writes the state of a rank to its pod, as a label that selectors can use and as a condition; "" removes
// both.
func (c *Controller) setRankState(ctx context.Context, s *syncState, node *drain.Node, pod drain.NodePod, state string) error {
	if pod.State == state {
		return nil
	}
	var label any
	condition := map[string]any{"type": v1alpha2.PodConditionDrained, "$patch": "delete"}
	if state != "" {
		label = state
		status, reason := corev1.ConditionFalse, "Busy"
		if state == v1alpha2.RankDrained {
			status, reason = corev1.ConditionTrue, "Idle"
		}
		condition = map[string]any{
			"type": v1alpha2.PodConditionDrained, "status": status, "reason": reason, "message": node.Reason,
			"lastTransitionTime": c.clock.Now().UTC().Format(time.RFC3339),
		}
	}
	metadata := map[string]any{"uid": pod.UID, "labels": map[string]any{v1alpha2.LabelRankState: label}}
	trackPod(metadata, pod, state)
	if c.allowsEviction(s) {
		metadata["annotations"] = resources.EvictionAnnotations(s.mc, false) // the label was that of an idle rank, perhaps
	}
	for _, change := range []struct {
		change      map[string]any
		subresource []string
	}{
		{map[string]any{"metadata": metadata}, nil},
		{map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": map[string]any{"conditions": []any{condition}}}, []string{"status"}},
	} {
		data, err := json.Marshal(change.change)
		if err != nil {
			return fmt.Errorf("encoding a patch of pod %q: %w", pod.Name, err)
		}
		_, err = c.kube.CoreV1().Pods(s.mc.Namespace).
			Patch(ctx, pod.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, change.subresource...)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			break // another pod has the name, or none
		}
		if state == "" && apierrors.IsInvalid(err) {
			break // it is being deleted, so that no finalizer can be added
		}
		if err != nil {
			return fmt.Errorf("reporting the state of the rank on pod %q: %w", pod.Name, err)
		}
	}
	c.nodes.setState(node.Name, s.key, pod.UID, state)
	return nil
}

// trackPod adds to a patch whether the Job controller tracks a pod by its finalizer. It does not track a follower that
// may leave: it would keep the pod until its back-off of 10 s has passed, and replace it only then. There is nothing to
// count, because disruptions are ignored (podFailurePolicy).
func trackPod(metadata map[string]any, pod drain.NodePod, state string) {
	switch {
	case pod.Index == 0:
	case state == v1alpha2.RankDrained:
		metadata["$deleteFromPrimitiveList/finalizers"] = []string{batchv1.JobTrackingFinalizer}
	case pod.State == v1alpha2.RankDrained:
		metadata["finalizers"] = []string{batchv1.JobTrackingFinalizer}
	}
}

// evict evicts a pod. A disruption budget may refuse that; the next answer of the agent repeats it.
func (c *Controller) evict(ctx context.Context, s *syncState, node *drain.Node, pod drain.NodePod, idle bool) error {
	err := c.kube.CoreV1().Pods(s.mc.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: s.mc.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil
	case apierrors.IsTooManyRequests(err):
		klog.FromContext(ctx).V(1).Info("A disruption budget refused to evict a pod", "pod", pod.Name, "reason", err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("evicting pod %q: %w", pod.Name, err)
	}
	c.nodes.evicted(node.Name, s.key, pod.UID)
	c.events.Eventf(s.mc, s.job, corev1.EventTypeNormal, "PodEvicted", "EvictPod", "%s", messages.NodeEvicted(pod.Name, node.Name, node.Reason, idle))
	return nil
}
