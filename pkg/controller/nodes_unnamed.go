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
// drains: this process knows of nodes with pods of the MiniCluster that go away.
func (c *Controller) loadNodes(ctx context.Context, s *syncState, recorded []v1alpha2.NodeDrainStatus, drains bool) (bool, error) {
	all, unnamed := true, false
	for i := range recorded {
		if recorded[i].Node != "" {
			all = c.nodes.load(recorded[i].Node, s.key, true) && all
			continue
		}
		unnamed = true
		found, err := c.loadUnnamed(ctx, s)
		if err != nil {
			return false, err
		}
		all = all && found
	}
	if all && !unnamed && drains {
		// Those that are drained from now on are known as well, even when the status names only some of them.
		c.nodes.setSearched(s.key, search{s.job.UID, true})
	}
	return all, nil
}

// loadUnnamed is loadNodes for nodes that the status does not name. Those that still go away are listed anyway when
// the controller starts. The others are found once by the labels of the pods.
func (c *Controller) loadUnnamed(ctx context.Context, s *syncState) (bool, error) {
	before := c.nodes.searchOf(s.key)
	switch {
	case before == search{s.job.UID, true}:
		return true, nil
	case !c.nodes.allListed():
		return false, nil
	case before.job == s.job.UID:
		c.nodes.setSearched(s.key, search{s.job.UID, true})
		return true, nil
	}
	all := true
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		if state := pod.Labels[v1alpha2.LabelRankState]; pod.Spec.NodeName != "" && state != "" && state != v1alpha2.RankIdle {
			all = c.nodes.load(pod.Spec.NodeName, s.key, false) && all
		}
	})
	if err != nil {
		return false, err
	}
	c.nodes.setSearched(s.key, search{s.job.UID, all})
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

// search is the search for the nodes of a Job that the status does not name.
type search struct {
	job types.UID
	// complete: all these nodes are known. Those that go away later are listed when they change, so that a MiniCluster
	// does not wait for the lists of thousands of nodes that go away at once.
	complete bool
}

func (w *nodeWatch) searchOf(key cache.ObjectName) search {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.searched[key]
}

func (w *nodeWatch) setSearched(key cache.ObjectName, s search) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.searched[key] = s
}
