package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	pods, err := c.idlePods(ctx, s)
	if err != nil {
		return err
	}
	// Pods that are busy come first: an autoscaler may evict them at any time.
	var allowed, protected []*idlePod
	for _, pod := range pods {
		switch allow := idle.Contains(pod.index); {
		case allow == pod.allowed:
		case allow:
			allowed = append(allowed, pod)
		default:
			protected = append(protected, pod)
		}
	}
	var changed atomic.Bool
	all, err := writePods(ctx, s, slices.Concat(protected, allowed), func(ctx context.Context, pod *idlePod) error {
		err := c.writeEviction(ctx, s.mc, pod, !pod.allowed)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			changed.Store(true)
			return nil
		}
		return err
	})
	if err != nil || changed.Load() {
		c.idleRanks.setPods(s.key, nil, time.Time{})
	}
	switch {
	case err != nil:
		return err
	case !all || changed.Load():
		s.requeueAfter(morePodWrites)
		c.agents.PauseNodes(s.name(), morePodWrites) // the next answer decides about the others
	default:
		c.idleRanks.wrote(s.key, idle)
	}
	return nil
}

// idlePod is a pod that node autoscalers may evict while its rank is idle.
type idlePod struct {
	name    string
	uid     types.UID
	version string
	index   uint32
	allowed bool
}

// idlePods returns the pods of a Job whose nodes do not go away. They are listed once for all writes that one change
// of the idle ranks takes, which may be many: a write fails if its pod has changed since.
func (c *Controller) idlePods(ctx context.Context, s *syncState) ([]*idlePod, error) {
	now := c.clock.Now()
	if pods := c.idleRanks.pods(s.key, now); pods != nil {
		return pods, nil
	}
	pods := []*idlePod{}
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		index, indexed := resources.PodIndex(pod)
		state := pod.Labels[v1alpha2.LabelRankState]
		if indexed && pod.DeletionTimestamp == nil && (state == "" || state == v1alpha2.RankIdle) {
			pods = append(pods, &idlePod{pod.Name, pod.UID, pod.ResourceVersion, uint32(index), state == v1alpha2.RankIdle})
		}
	})
	if err != nil {
		return nil, err
	}
	c.idleRanks.setPods(s.key, pods, now)
	return pods, nil
}

// writeEviction writes whether node autoscalers may evict a pod.
func (c *Controller) writeEviction(ctx context.Context, mc *v1alpha2.MiniCluster, pod *idlePod, allow bool) error {
	label := any(nil)
	if allow {
		label = v1alpha2.RankIdle
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.uid, "resourceVersion": pod.version,
		"labels": map[string]any{v1alpha2.LabelRankState: label}, "annotations": resources.EvictionAnnotations(mc, allow),
	}})
	if err != nil {
		return fmt.Errorf("encoding a patch of pod %q: %w", pod.name, err)
	}
	written, err := c.kube.CoreV1().Pods(mc.Namespace).Patch(ctx, pod.name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("changing whether pod %q may be evicted: %w", pod.name, err)
	}
	pod.version, pod.allowed = written.ResourceVersion, allow
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
	// pods are the pods when they were listed, with the changes of this process since; nil if they have to be listed.
	pods     []*idlePod
	podsFrom time.Time
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
		known.written, known.listed, known.pods = idle, true, nil
	}
}

// pods returns the pods that were listed recently and have not all been written, nil if there are none.
func (r *idleRanks) pods(key cache.ObjectName, now time.Time) []*idlePod {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil && now.Sub(known.podsFrom) < maxIdleCheck {
		return known.pods
	}
	return nil
}

// setPods records the pods of a Job; nil if they have to be listed.
func (r *idleRanks) setPods(key cache.ObjectName, pods []*idlePod, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil {
		known.pods, known.podsFrom = pods, now
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
