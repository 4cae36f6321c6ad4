package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// maxIdleCheck is the longest time between two checks of idle ranks.
const maxIdleCheck = time.Minute

// maxIdleFailures is the number of failed requests after which ranks that were idle may be busy.
const maxIdleFailures = 3

// idleCheck returns how often idle ranks are checked.
func (c *Controller) idleCheck() time.Duration {
	return max(time.Second, min(c.idleRanks.delay, maxIdleCheck))
}

// allowsEviction reports whether node autoscalers may evict idle pods of a MiniCluster, or might until now.
func (c *Controller) allowsEviction(s *syncState) bool {
	d := s.mc.Spec.Disruption
	return c.nodes != nil && (d != nil && d.WhenIdle == v1alpha2.WhenIdleAllow || c.idleRanks.any(s.key))
}

// protectUnknown protects all pods again when the agent has failed several times to say which ranks are idle.
func (c *Controller) protectUnknown(ctx context.Context, s *syncState, failures int) error {
	if failures < maxIdleFailures || !c.allowsEviction(s) {
		return nil
	}
	return c.allowEviction(ctx, s, flux.IDSet{})
}

// allowEviction lets node autoscalers evict the pods whose ranks have been idle for some minutes, and protects the
// others again. free are the ranks that run nothing now. The pods are listed only if that changes anything.
func (c *Controller) allowEviction(ctx context.Context, s *syncState, free flux.IDSet) error {
	if d := s.mc.Spec.Disruption; d == nil || d.WhenIdle != v1alpha2.WhenIdleAllow {
		free = flux.IDSet{}
	}
	if !s.mc.Spec.Interactive {
		free = free.Without(flux.IDs(0)) // the program of the lead is not a job
	}
	idle, changes := c.idleRanks.observe(s.key, s.job.UID, free, c.clock.Now())
	if !changes {
		return nil
	}
	type podPatch struct {
		name string
		data []byte
	}
	var allowed, protected []podPatch
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		index, indexed := resources.PodIndex(pod)
		state := pod.Labels[v1alpha2.LabelRankState]
		allow := idle.Contains(uint32(index))
		if !indexed || pod.DeletionTimestamp != nil || state != "" && state != v1alpha2.RankIdle || allow == (state == v1alpha2.RankIdle) {
			return
		}
		label := any(nil)
		if allow {
			label = v1alpha2.RankIdle
		}
		change, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": pod.UID, "labels": map[string]any{v1alpha2.LabelRankState: label}, "annotations": resources.EvictionAnnotations(s.mc, allow),
		}})
		switch {
		case err != nil:
		case allow:
			allowed = append(allowed, podPatch{pod.Name, change})
		default:
			protected = append(protected, podPatch{pod.Name, change})
		}
	})
	if err != nil {
		return err
	}
	// Pods that are busy come first: an autoscaler may evict them at any time.
	all, err := writePods(ctx, s, slices.Concat(protected, allowed), func(ctx context.Context, p podPatch) error {
		_, err := c.kube.CoreV1().Pods(s.mc.Namespace).Patch(ctx, p.name, types.MergePatchType, p.data, metav1.PatchOptions{FieldManager: fieldManager})
		if ignoreNotFound(err) != nil {
			return fmt.Errorf("changing whether pod %q may be evicted: %w", p.name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !all {
		c.agents.PauseNodes(s.name(), morePodWrites) // the next answer decides about the others
		return nil
	}
	c.idleRanks.wrote(s.key, idle)
	return nil
}

// idleRanks records since when ranks have been idle, of MiniClusters whose idle pods may be evicted. It is empty when a
// process starts, so that the pods are listed once.
type idleRanks struct {
	// delay is how long a rank must be idle before its pod may be evicted.
	delay time.Duration

	mu sync.Mutex
	of map[cache.ObjectName]*idleCluster
}

type idleCluster struct {
	job   types.UID
	since map[uint32]time.Time
	// written are the ranks whose pods may be evicted. If listed is false, that is unknown, because not all changes were
	// made; these ranks then include those of this process.
	written flux.IDSet
	listed  bool
}

func newIdleRanks(delay time.Duration) *idleRanks {
	return &idleRanks{delay: delay, of: map[cache.ObjectName]*idleCluster{}}
}

// observe records the ranks that run nothing now. It returns those that have been idle for long enough, and whether
// pods may have to be changed.
func (r *idleRanks) observe(key cache.ObjectName, job types.UID, free flux.IDSet, now time.Time) (idle flux.IDSet, changes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	if known == nil || known.job != job {
		known = &idleCluster{job: job}
		r.of[key] = known
	}
	since := map[uint32]time.Time{}
	for rank := range free.All() {
		since[rank] = now
		if before, ok := known.since[rank]; ok {
			since[rank] = before
		}
		if now.Sub(since[rank]) >= r.delay {
			idle = idle.Union(flux.IDs(rank))
		}
	}
	known.since = since
	changes = !known.listed || !known.written.Equal(idle)
	if changes { // until wrote: the caller may make some of the changes only
		known.listed, known.written = false, known.written.Union(idle)
	}
	return idle, changes
}

// wrote records the ranks whose pods may be evicted.
func (r *idleRanks) wrote(key cache.ObjectName, idle flux.IDSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil {
		known.written, known.listed = idle, true
	}
}

// any reports whether pods of a MiniCluster may be evicted.
func (r *idleRanks) any(key cache.ObjectName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	return known != nil && !known.written.Empty()
}

func (r *idleRanks) forget(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}
