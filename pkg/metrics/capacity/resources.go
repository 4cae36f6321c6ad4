package capacity

import (
	"iter"
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// Resources is an amount of each resource, in the integral units of the scheduler: CPU in thousandths of
// a core, memory and storage in bytes, others (pods, GPUs) in pieces. Fractions are rounded up for each
// pod, so sums are exact.
type Resources struct {
	CPU    int64
	Memory int64
	Pods   int64
	// Other contains all other resources, such as nvidia.com/gpu. It is nil if there are none.
	Other map[corev1.ResourceName]int64
}

// fromList converts a resource list.
func fromList(list corev1.ResourceList) Resources {
	var r Resources
	for name, quantity := range list {
		if name == corev1.ResourceCPU {
			r.CPU = quantity.MilliValue()
			continue
		}
		r.Set(name, quantity.Value())
	}
	return r
}

// Get returns the amount of a resource.
func (r *Resources) Get(name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return r.CPU
	case corev1.ResourceMemory:
		return r.Memory
	case corev1.ResourcePods:
		return r.Pods
	default:
		return r.Other[name]
	}
}

// Set sets the amount of a resource.
func (r *Resources) Set(name corev1.ResourceName, n int64) {
	switch name {
	case corev1.ResourceCPU:
		r.CPU = n
	case corev1.ResourceMemory:
		r.Memory = n
	case corev1.ResourcePods:
		r.Pods = n
	default:
		if n == 0 {
			delete(r.Other, name)
			return
		}
		if r.Other == nil {
			r.Other = map[corev1.ResourceName]int64{}
		}
		r.Other[name] = n
	}
}

// Add adds amounts.
func (r *Resources) Add(o *Resources) { r.add(o, 1) }

// Sub subtracts amounts. The result may be negative.
func (r *Resources) Sub(o *Resources) { r.add(o, -1) }

func (r *Resources) add(o *Resources, times int64) {
	r.CPU += times * o.CPU
	r.Memory += times * o.Memory
	r.Pods += times * o.Pods
	for name, n := range o.Other {
		r.Set(name, r.Other[name]+times*n)
	}
}

// Clone returns a deep copy.
func (r *Resources) Clone() Resources {
	c := *r
	c.Other = maps.Clone(r.Other)
	return c
}

// raise sets each amount to the maximum of both.
func (r *Resources) raise(o *Resources) {
	for name := range o.all() {
		r.Set(name, max(r.Get(name), o.Get(name)))
	}
}

// all iterates over the resources whose amount is not 0.
func (r *Resources) all() iter.Seq2[corev1.ResourceName, int64] {
	return func(yield func(corev1.ResourceName, int64) bool) {
		for _, name := range standardResources() {
			if n := r.Get(name); n != 0 && !yield(name, n) {
				return
			}
		}
		for name, n := range r.Other {
			if !yield(name, n) {
				return
			}
		}
	}
}

// standardResources returns the resources that all nodes have.
func standardResources() []corev1.ResourceName {
	return []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods}
}
