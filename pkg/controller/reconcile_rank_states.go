package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

const (
	// podWriters is how many pods of a MiniCluster are written at the same time.
	podWriters = 8
	// maxPodWrites is how many pods a reconciliation writes. Then others get the worker.
	maxPodWrites = 200
	// morePodWrites is the time until a MiniCluster with more pods to write is reconciled again.
	morePodWrites = 50 * time.Millisecond
)

// podChange is what to do about a pod on a node that goes away, or takes pods again.
type podChange struct {
	node *drain.Node
	pod  drain.NodePod
	drain.PodDecision
}

// writePods makes some changes concurrently, and reports whether these are all. Otherwise, the MiniCluster is
// reconciled again soon.
func writePods[T any](ctx context.Context, s *syncState, changes []T, write func(context.Context, T) error) (bool, error) {
	all, err := writeSome(ctx, changes, write)
	if err == nil && !all {
		s.requeueAfter(morePodWrites)
	}
	return all, err
}

// writeSome makes some changes concurrently, and reports whether these are all. A change that fails does not prevent
// the others.
func writeSome[T any](ctx context.Context, changes []T, write func(context.Context, T) error) (bool, error) {
	var group errgroup.Group
	group.SetLimit(podWriters)
	for _, change := range changes[:min(len(changes), maxPodWrites)] {
		group.Go(func() error { return write(ctx, change) })
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	return len(changes) <= maxPodWrites, nil
}

// resetRankStates removes the states of pods on nodes that take pods again, and reports whether that is complete.
func (c *Controller) resetRankStates(ctx context.Context, s *syncState, returned []drain.Node) (bool, error) {
	var changes []podChange
	for i := range returned {
		for _, pod := range returned[i].Pods {
			if pod.State != "" {
				changes = append(changes, podChange{node: &returned[i], pod: pod})
			}
		}
	}
	return writePods(ctx, s, changes, func(ctx context.Context, change podChange) error {
		return c.setRankState(ctx, s, change.node, change.pod, "")
	})
}

// leaveNodes reports the state of the ranks on their pods, and evicts pods that have to leave.
func (c *Controller) leaveNodes(ctx context.Context, s *syncState, nodes []drain.Node, state *control.DrainState) error {
	now := c.clock.Now()
	since := drain.NodesSince(nodes, s.observed.NodeDrains, now)
	var states, evictions []podChange
	for i := range nodes {
		node := &nodes[i]
		in := drain.NodeInput{MiniCluster: s.mc, Now: now, Since: since[node.Name], State: state}
		s.requeueAfter(drain.NodeTimeout(in, node.NodeState))
		for _, pod := range node.Pods {
			change := podChange{node, pod, drain.DecidePod(in, node.NodeState, pod)}
			switch {
			case change.State != "" && change.State != pod.State:
				states = append(states, change)
			case change.Evict:
				evictions = append(evictions, change)
			}
		}
	}
	var refused atomic.Bool
	// States first: budgets may refuse evictions for any time. Each time, other evictions come first, so that those that
	// one budget refuses do not prevent the others.
	all, err := writeSome(ctx, append(states, rotate(evictions)...), func(ctx context.Context, change podChange) error {
		if change.State != "" {
			if err := c.setRankState(ctx, s, change.node, change.pod, change.State); err != nil {
				return err
			}
		}
		if change.Evict {
			evicted, err := c.evict(ctx, s, change.node, change.pod, !change.TimedOut)
			if err == nil && !evicted {
				refused.Store(true)
			}
			return err
		}
		return nil
	})
	if err == nil && !all && (len(states) > maxPodWrites || !refused.Load()) {
		c.agents.PauseNodes(s.name(), morePodWrites) // the next answer decides about the others
		s.requeueAfter(morePodWrites)
	}
	return err
}

// rotate moves a random number of elements from the start to the end, if they are too many to be written at once.
func rotate(changes []podChange) []podChange {
	if len(changes) <= maxPodWrites {
		return changes
	}
	first := rand.IntN(len(changes)) //nolint:gosec // any order is correct
	return slices.Concat(changes[first:], changes[:first])
}

// setRankState writes the state of a rank to its pod, as a label that selectors can use and as a condition; "" removes
// both. The subresource status accepts both, so that it is one request.
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
	data, err := json.Marshal(map[string]any{"metadata": metadata, "status": map[string]any{"conditions": []any{condition}}})
	if err != nil {
		return fmt.Errorf("encoding a patch of pod %q: %w", pod.Name, err)
	}
	_, err = c.kube.CoreV1().Pods(s.mc.Namespace).
		Patch(ctx, pod.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err): // another pod has the name, or none
	case state == "" && apierrors.IsInvalid(err): // it is being deleted, so that no finalizer can be added
	case err != nil:
		return fmt.Errorf("reporting the state of the rank on pod %q: %w", pod.Name, err)
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

// evict evicts a pod. It returns false if a disruption budget refuses that; the next regular answer of the agent
// repeats it.
func (c *Controller) evict(ctx context.Context, s *syncState, node *drain.Node, pod drain.NodePod, idle bool) (bool, error) {
	err := c.kube.CoreV1().Pods(s.mc.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: s.mc.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		c.nodes.evicted(node.Name, s.key, pod.UID) // another pod has the name, or none
		return true, nil
	case apierrors.IsTooManyRequests(err):
		klog.FromContext(ctx).V(1).Info("A disruption budget refused to evict a pod", "pod", pod.Name, "reason", err.Error())
		return false, nil
	case err != nil:
		return false, fmt.Errorf("evicting pod %q: %w", pod.Name, err)
	}
	c.nodes.evicted(node.Name, s.key, pod.UID)
	c.events.Eventf(s.mc, s.job, corev1.EventTypeNormal, "PodEvicted", "EvictPod", "%s", messages.NodeEvicted(pod.Name, node.Name, node.Reason, idle))
	return true, nil
}
