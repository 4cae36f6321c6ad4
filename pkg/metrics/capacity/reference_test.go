package capacity

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

// reference computes how many pods of a workload fit in the simplest way: it places pending pods one by one, and
// checks every node each time.
func reference(s *snapshot, w *workload) (fitting, remaining int64) {
	requests, priority, own := s.podsOf(w)
	free := make([]vector, len(s.nodes))
	for i := range s.nodes {
		free[i] = append(vector{}, s.nodes[i].free...)
	}
	with := func(i int) vector {
		sum := append(vector{}, free[i]...)
		if own[i] != nil {
			sum.Plus(own[i])
		}
		return sum
	}
	for _, p := range s.pending {
		if p.pod.owner() == w.Job || !p.pod.precedes(priority) {
			continue
		}
		for range p.count {
			chosen := -1
			for i := range s.nodes {
				if p.pod.Placement.allows(s.nodes[i].node) && free[i].TimesFit(p.needs) > 0 {
					chosen = i
					break
				}
			}
			for i := 0; i < len(s.nodes) && chosen < 0; i++ {
				if own[i] != nil && p.pod.Placement.allows(s.nodes[i].node) && with(i).TimesFit(p.needs) > 0 {
					chosen = i
				}
			}
			if chosen >= 0 {
				free[chosen].Minus(p.needs, 1)
			}
		}
	}
	for i := range s.nodes {
		if w.Placement.allows(s.nodes[i].node) {
			fitting += with(i).TimesFit(s.needs(&requests))
			remaining += with(i)[0]
		}
	}
	return fitting, remaining
}

// TestHeadroomMatchesReference checks that grouping pods of equal shape and sharing results between workloads does
// not change the results.
func TestHeadroomMatchesReference(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		s := newClusterState()
		for i := range 2 + random.IntN(8) {
			node := testNode(fmt.Sprintf("node-%d", i), "cpu", fmt.Sprint(4+random.IntN(12)), "memory", "64Gi", "pods", "20")
			node.Labels["pool"] = fmt.Sprint(random.IntN(2))
			if random.IntN(6) == 0 {
				node.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}
			}
			s.setNode(newNodeRecord(node))
		}
		inPool := func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "0"} }
		for range random.IntN(40) {
			var options []podOption
			if random.IntN(3) == 0 {
				options = append(options, inPool)
			}
			if random.IntN(4) == 0 {
				options = append(options, priority(int32(random.IntN(3)-1))) //nolint:gosec // small
			}
			switch random.IntN(4) {
			case 0:
				options = append(options, mine)
			case 1:
				options = append(options, ofJob("n"))
			}
			node := ""
			if random.IntN(2) == 0 {
				node = fmt.Sprintf("node-%d", random.IntN(10))
			}
			addPods(s, 1+random.IntN(3), node, fmt.Sprint(1+random.IntN(4)), options...)
		}
		snap := newSnapshot(s)
		for _, options := range [][]podOption{nil, {inPool}} {
			w := testWorkload(t, fmt.Sprint(1+random.IntN(3)), "", options...)
			fitting, remaining := reference(snap, w)
			h := snap.headroom(w)
			if !assert.Equal(t, fitting, h.Fitting, "seed %d", seed) || !assert.Equal(t, remaining, h.Remaining.CPU, "seed %d", seed) {
				return
			}
		}
	}
}
