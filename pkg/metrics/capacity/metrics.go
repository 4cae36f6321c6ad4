package capacity

import (
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Names of metrics that do not depend on a resource.
const (
	// MetricSizeFitting is the size of a MiniCluster that fits into its headroom.
	MetricSizeFitting = "size_fitting"
	// MetricPodsFitting is the number of pods of a MiniCluster that fit into its headroom, regardless of its bounds.
	MetricPodsFitting = "pods_fitting"
	// MetricNodes is the number of schedulable nodes.
	MetricNodes = "nodes"
)

// Kinds of amounts, which are suffixes of metric names.
const (
	kindCapacity    = "capacity"
	kindAllocatable = "allocatable"
	kindRequests    = "requests"
	kindRemaining   = "remaining"
)

// Metrics maps names of metrics to values. There are four kinds for each resource, such as cpu_remaining in cores and
// mem_requests in bytes, and older names of some of them in other units: cpu_capacity_remaining and cpu_*_total in
// thousandths of a core, mem_capacity_remaining and mem_*_total in KiB.
type Metrics map[string]resource.Quantity

// Metrics returns the metrics of nodes.
func (s *Sums) Metrics() Metrics {
	remaining := s.remaining()
	m := Metrics{MetricNodes: *resource.NewQuantity(int64(s.Nodes), resource.DecimalSI)}
	m.add(kindCapacity, s.Names, &s.Capacity)
	m.add(kindAllocatable, s.Names, &s.Allocatable)
	m.add(kindRequests, s.Names, &s.Requests)
	m.add(kindRemaining, s.Names, &remaining)
	return m
}

// metrics returns the metrics of a MiniCluster, except for MetricSizeFitting.
func (h *headroom) metrics() Metrics {
	m := Metrics{MetricNodes: *resource.NewQuantity(int64(h.Nodes), resource.DecimalSI)}
	m.add(kindCapacity, h.Names, &h.Capacity)
	m.add(kindAllocatable, h.Names, &h.Allocatable)
	m.add(kindRequests, h.Names, &h.Requests)
	m.add(kindRemaining, h.Names, &h.Remaining)
	return m
}

// add adds the metrics of one kind, including those that are 0: an autoscaler would get an error if a metric
// disappeared while the last GPU is in use.
func (m Metrics) add(kind string, resources []corev1.ResourceName, r *Resources) {
	for name := range distinct(resources) {
		m[prefix(name)+"_"+kind] = quantity(name, r.Get(name))
	}
	for name, n := range map[string]int64{
		aliasOf(corev1.ResourceCPU, kind): r.CPU, aliasOf(corev1.ResourceMemory, kind): toKi(r.Memory), aliasOf(corev1.ResourcePods, kind): r.Pods,
	} {
		m[name] = *resource.NewQuantity(n, resource.DecimalSI)
	}
}

// aliasOf returns the older name of a metric.
func aliasOf(name corev1.ResourceName, kind string) string {
	if kind == kindRemaining {
		return prefix(name) + "_capacity_remaining"
	}
	return prefix(name) + "_" + kind + "_total"
}

// prefix returns the prefix of the metric names of a resource.
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

// distinct omits resources whose metrics would have the same names as those of an earlier one, such as a.b/gpu and
// a_b/gpu.
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

// sanitize converts the name of a resource to a part of a metric name, such as nvidia_com_gpu.
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

// quantity returns an amount of a resource in its unit: cores, bytes or pieces.
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

// unit returns the unit of a resource.
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

// toKi converts bytes to KiB, rounded down.
func toKi(bytes int64) int64 { return bytes >> 10 }
