package capacity

import (
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Names of metrics that stand for one number of one kind only.
const (
	// MetricSizeFitting is how many pods a MiniCluster could have.
	MetricSizeFitting = "size_fitting"
	// MetricNodes is how many nodes count.
	MetricNodes = "nodes"
)

// kinds of amounts, with how they end the names of metrics.
const (
	kindCapacity    = "capacity"
	kindAllocatable = "allocatable"
	kindRequests    = "requests"
	kindRemaining   = "remaining"
)

// Figures are metrics by name. There are, for each resource, those of the four kinds,
// such as cpu_remaining in cores or mem_requests in bytes, and the older names of some of
// them, which have units of their own: cpu_capacity_remaining and cpu_*_total in
// thousandths of a core, mem_capacity_remaining and mem_*_total in KiB.
type Figures map[string]resource.Quantity

// Figures of the nodes.
func (s *Sums) Figures() Figures {
	remaining := s.Remaining()
	f := Figures{MetricNodes: *resource.NewQuantity(int64(s.Nodes), resource.DecimalSI)}
	f.add(kindCapacity, s.Names, &s.Capacity)
	f.add(kindAllocatable, s.Names, &s.Allocatable)
	f.add(kindRequests, s.Names, &s.Requests)
	f.add(kindRemaining, s.Names, &remaining)
	return f
}

// Figures of what an application sees.
func (v *View) Figures() Figures {
	f := Figures{
		MetricNodes:       *resource.NewQuantity(int64(v.Nodes), resource.DecimalSI),
		MetricSizeFitting: *resource.NewQuantity(v.Fitting, resource.DecimalSI),
	}
	f.add(kindCapacity, v.Names, &v.Capacity)
	f.add(kindAllocatable, v.Names, &v.Allocatable)
	f.add(kindRequests, v.Names, &v.Requests)
	f.add(kindRemaining, v.Names, &v.Remaining)
	return f
}

// add adds the figures of one kind, also where there is nothing of a resource: a metric that went away while the last GPU
// is in use would leave an autoscaler without an answer.
func (f Figures) add(kind string, resources []corev1.ResourceName, r *Resources) {
	for name := range distinct(resources) {
		f[prefix(name)+"_"+kind] = quantity(name, r.Get(name))
	}
	for name, n := range map[string]int64{
		aliasOf(corev1.ResourceCPU, kind): r.CPU, aliasOf(corev1.ResourceMemory, kind): toKi(r.Memory), aliasOf(corev1.ResourcePods, kind): r.Pods,
	} {
		f[name] = *resource.NewQuantity(n, resource.DecimalSI)
	}
}

// aliasOf is the older name of a figure.
func aliasOf(name corev1.ResourceName, kind string) string {
	if kind == kindRemaining {
		return prefix(name) + "_capacity_remaining"
	}
	return prefix(name) + "_" + kind + "_total"
}

// prefix is how the names of a resource's metrics begin.
func prefix(name corev1.ResourceName) string {
	switch name {
	case corev1.ResourceCPU:
		return "cpu"
	case corev1.ResourceMemory:
		return "mem"
	case corev1.ResourcePods:
		return "pod"
	default:
		return sanitize(string(name))
	}
}

// distinct leaves out resources whose metrics would have the name of another's before them, such as a.b/gpu and a_b/gpu.
func distinct(resources []corev1.ResourceName) iter.Seq[corev1.ResourceName] {
	return func(yield func(corev1.ResourceName) bool) {
		seen := make(map[string]bool, len(resources))
		for _, name := range resources {
			if p := sanitize(string(name)); !seen[p] {
				seen[p] = true
				if !yield(name) {
					return
				}
			}
		}
	}
}

// sanitize makes a resource's name a part of a metric's name: nvidia_com_gpu.
func sanitize(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '_'
		}
	}, name)
}

// quantity is an amount of a resource in its unit: cores, bytes or pieces.
func quantity(name corev1.ResourceName, n int64) resource.Quantity {
	switch {
	case name == corev1.ResourceCPU:
		return *resource.NewMilliQuantity(n, resource.DecimalSI)
	case unit(name) == unitByte:
		return *resource.NewQuantity(n, resource.BinarySI)
	default:
		return *resource.NewQuantity(n, resource.DecimalSI)
	}
}

// Units of resources.
const (
	unitCore  = "core"
	unitByte  = "byte"
	unitPiece = "integer"
)

// unit is what a resource is measured in.
func unit(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU:
		return unitCore
	case name == corev1.ResourceMemory, strings.HasSuffix(string(name), "storage"),
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return unitByte
	default:
		return unitPiece
	}
}

// toKi converts bytes, rounding down.
func toKi(bytes int64) int64 { return bytes >> 10 }
