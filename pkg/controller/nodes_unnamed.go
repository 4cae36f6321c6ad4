package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// loadNodes makes sure that the pods of all nodes are known whose ranks may be drained, and reports whether they are:
// otherwise ranks would be undrained too early. The status names the nodes, except when there are very many.
func (c *Controller) loadNodes(ctx context.Context, s *syncState, recorded []v1alpha2.NodeDrainStatus) (bool, error) {
	all := true
	for i := range recorded {
		if recorded[i].Node != "" {
			all = c.nodes.load(recorded[i].Node, true) && all
			continue
		}
		found, err := c.loadUnnamed(ctx, s)
		if err != nil {
			return false, err
		}
		all = all && found
	}
	return all, nil
}

// loadUnnamed is loadNodes for nodes that the status does not name. Those that still go away are listed anyway when
// the controller starts. The others are found once by the labels of the pods.
func (c *Controller) loadUnnamed(ctx context.Context, s *syncState) (bool, error) {
	if !c.nodes.allListed() {
		return false, nil
	}
	if c.nodes.hasSearched(s.key, s.job.UID) {
		return true, nil
	}
	all := true
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		if state := pod.Labels[v1alpha2.LabelRankState]; pod.Spec.NodeName != "" && state != "" && state != v1alpha2.RankIdle {
			all = c.nodes.load(pod.Spec.NodeName, false) && all
		}
	})
	if err != nil {
		return false, err
	}
	c.nodes.setSearched(s.key, s.job.UID)
	return all, nil
}

// allListed reports whether the pods of all nodes were listed that go away, or were found by pods.
func (w *nodeWatch) allListed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n.listed.IsZero() {
			return false
		}
	}
	for _, obj := range w.store.List() {
		if w.stateOf(obj).Drains() && w.nodes[object(obj).GetName()] == nil {
			return false
		}
	}
	return true
}

func (w *nodeWatch) hasSearched(key cache.ObjectName, job types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.searched[key] == job
}

// setSearched records that all nodes of a Job are known: those that go away later are listed when they change.
func (w *nodeWatch) setSearched(key cache.ObjectName, job types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.searched[key] = job
}
