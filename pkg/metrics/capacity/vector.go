package capacity

import (
	"cmp"
	"slices"

	"minicluster.internal/operator/pkg/metrics/allocation"
)

// vector is an amount of each resource of a snapshot.
type vector = allocation.Vector

// needs are the amounts that a pod requests.
type needs = allocation.Needs

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
		all = append(all, allocation.Need{Index: i, Amount: n})
	}
	slices.SortFunc(all, func(a, b allocation.Need) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Amount, b.Amount))
	})
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
