package capacity

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// vector is an amount of each resource of a snapshot.
type vector []int64

// need is an amount of a resource with an index in vectors, or -1 for a resource that no node has.
type need struct {
	index  int
	amount int64
}

// needs are the amounts that a pod requests, without zeros, sorted by index.
type needs []need

// String returns a unique representation.
func (all needs) String() string {
	var text strings.Builder
	for _, n := range all {
		fmt.Fprintf(&text, "%d:%d,", n.index, n.amount)
	}
	return text.String()
}

// unlimited is the number of pods that fit if they request nothing.
const unlimited int64 = math.MaxInt64

func (s *snapshot) vector(r *Resources) vector {
	v := make(vector, len(s.resources))
	s.add(v, r, 1)
	return v
}

// add adds an amount some times. It ignores resources that no node has.
func (s *snapshot) add(v vector, r *Resources, times int64) {
	v[0] += times * r.CPU
	v[1] += times * r.Memory
	v[2] += times * r.Pods
	for name, n := range r.Other {
		if i, known := s.index[name]; known {
			v[i] += times * n
		}
	}
}

// needs returns the needs of a pod with some requests.
func (s *snapshot) needs(r *Resources) needs {
	var all needs
	for name, n := range r.all() {
		if n <= 0 {
			continue
		}
		i, known := s.index[name]
		if !known {
			i = -1
		}
		all = append(all, need{index: i, amount: n})
	}
	slices.SortFunc(all, func(a, b need) int { return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.amount, b.amount)) })
	return all
}

// toResources converts a vector.
func (s *snapshot) toResources(v vector) Resources {
	var r Resources
	for i, name := range s.resources {
		r.Set(name, v[i])
	}
	return r
}

// plus adds another vector.
func (v vector) plus(o vector) {
	for i, n := range o {
		v[i] += n
	}
}

// minus subtracts needs some times.
func (v vector) minus(all needs, times int64) {
	for _, n := range all {
		if n.index >= 0 {
			v[n.index] -= times * n.amount
		}
	}
}

// timesFit returns how often needs fit into an amount, which is never less than 0. Other resources do not matter, even
// if they are overcommitted.
func (v vector) timesFit(all needs) int64 {
	fit := unlimited
	for _, n := range all {
		if n.index < 0 {
			return 0
		}
		if v[n.index] < n.amount {
			return 0
		}
		fit = min(fit, v[n.index]/n.amount)
	}
	return fit
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// all iterates over the numbers in the set, in ascending order.
func (b bitset) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for word, set := range b {
			for ; set != 0; set &= set - 1 {
				if !yield(64*word + bits.TrailingZeros64(set)) {
					return
				}
			}
		}
	}
}
