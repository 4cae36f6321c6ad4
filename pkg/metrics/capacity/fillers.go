package capacity

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// errNotAllocated is returned for the size of an opportunistic MiniCluster that is newer than the snapshot.
var errNotAllocated = errors.New("the MiniCluster is not a part of the last snapshot yet")

const (
	// unboundAfter is how long a pod may stay pending although there is room for it. After that, something else
	// keeps it from running, and it holds no room for retryAfter.
	unboundAfter = time.Minute
	retryAfter   = 10 * time.Minute
	// maxGap is the longest time between two snapshots that counters count.
	maxGap = time.Minute
)

// history is what a Source remembers from one snapshot to the next one.
type history struct {
	at time.Time
	// fitSince is the time since when there is room for a pending pod.
	fitSince map[podID]time.Time
	// harvested and waiting are counters: core-seconds by MiniCluster, and seconds of pods.
	harvested map[types.NamespacedName]float64
	waiting   float64
}

// podID identifies a pod permanently: a name may be reused.
type podID struct {
	types.NamespacedName
	uid types.UID
}

func (p *podRecord) id() podID { return podID{p.key(), p.UID} }

// holdsNothing reports whether a pod has had room for so long that something else keeps it from running.
func (h *history) holdsNothing(p *podRecord, now time.Time) bool {
	since, known := h.fitSince[p.id()]
	return known && now.Sub(since) >= unboundAfter
}

// next records a snapshot. It forgets MiniClusters that do not exist any more.
func (h *history) next(s *snapshot, exists func(types.NamespacedName) bool) {
	gap := min(max(s.at.Sub(h.at), 0), maxGap)
	if h.at.IsZero() {
		gap = 0
	}
	h.at = s.at
	for name := range s.allocated.sizes {
		h.harvested[name] += gap.Seconds() * float64(s.allocated.harvested[name]) / 1000
	}
	for name := range h.harvested {
		if _, known := s.allocated.sizes[name]; !known && !exists(name) {
			delete(h.harvested, name)
		}
	}
	h.waiting += gap.Seconds() * float64(s.allocated.pending[roomAfterShrink])

	fitSince := map[podID]time.Time{}
	for _, p := range s.allocated.fit {
		if p.Placement.Nominated != "" {
			continue // it waits for the pods that it preempts
		}
		since, known := h.fitSince[p.id()]
		if !known {
			since = s.at
		}
		fitSince[p.id()] = since
	}
	for _, group := range s.pending {
		for _, p := range group.pods {
			if h.holdsNothing(p, s.at) && s.at.Sub(h.fitSince[p.id()]) < unboundAfter+retryAfter {
				fitSince[p.id()] = h.fitSince[p.id()]
			}
		}
	}
	h.fitSince = fitSince
}

// fillers returns the opportunistic MiniClusters, sorted by name. It omits those whose pods or reserve are unknown.
func (s *Source) fillers() []*filler {
	all, err := s.miniClusters.List(labels.Everything())
	if err != nil {
		return nil
	}
	var fillers []*filler
	for _, mc := range all {
		if mc.Spec.Opportunistic == nil || mc.Status.Finished() {
			continue
		}
		w, err := s.workload(mc)
		if err != nil {
			continue
		}
		f := &filler{
			workload: w, weight: int64(max(1, mc.Spec.Opportunistic.Weight)), minimum: int64(mc.MinimumSize()),
			maximum: unboundedSize, size: int64(mc.RequestedSize()),
		}
		if maximum := mc.Status.MaximumSize; maximum > 0 {
			f.minimum, f.maximum = int64(mc.LowerBound(maximum)), int64(maximum)
		}
		fillers = append(fillers, f)
	}
	slices.SortFunc(fillers, func(a, b *filler) int {
		return cmp.Or(cmp.Compare(a.Job.Namespace, b.Job.Namespace), cmp.Compare(a.Job.Name, b.Job.Name))
	})
	return fillers
}

// exists reports whether a MiniCluster exists.
func (s *Source) exists(name types.NamespacedName) bool {
	_, err := s.miniClusters.MiniClusters(name.Namespace).Get(name.Name)
	return err == nil
}

// allocatedSize returns the size that an opportunistic MiniCluster can have.
func (s *snapshot) allocatedSize(mc *v1alpha2.MiniCluster) (int64, error) {
	size, known := s.allocated.sizes[types.NamespacedName{Namespace: mc.Namespace, Name: mc.Name}]
	if !known {
		return 0, errNotAllocated
	}
	return size, nil
}

// counters returns the core-seconds of each opportunistic MiniCluster, and the seconds that paying pods have waited.
func (s *Source) counters() (harvested map[types.NamespacedName]float64, waiting float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.history.harvested), s.history.waiting
}
