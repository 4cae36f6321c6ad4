package page

import (
	"math"

	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
)

// line returns the history of one of the sizes.
func (of *record) line(class, label string, now number, get func(sizes) int32) series {
	l := series{Class: class, Label: label, Now: now}
	for _, s := range of.history {
		value := math.NaN()
		if n := get(s.value); n != unknown {
			value = float64(n)
		}
		l.add(s.at, value)
	}
	return l
}

func (of *record) chart(over span) chart {
	size := of.line("s-size", "Size", countOf("", of.size), func(s sizes) int32 { return s.size })
	size.area = true
	fitting := of.line("s-fitting", "Fitting", countOf(capacity.MetricSizeFitting, of.fitting), func(s sizes) int32 { return s.fitting })
	fitting.over = true
	return newChart("chart/"+of.String(), of.String(), unitPods, over, []series{
		size,
		of.line("s-demand", "Demanded", countOf(fluxsource.MetricSizeDemanded, of.demanded), func(s sizes) int32 { return s.demanded }),
		fitting,
		of.line("s-bound", "Max", countOf("", of.maximum), func(s sizes) int32 { return s.maximum }),
		of.line("s-bound", "Min", countOf("", of.minimum), func(s sizes) int32 { return s.minimum }),
	})
}

// titleOf returns the title and the unit of a resource.
func titleOf(name string) (title, unit string) {
	switch name {
	case "cpu":
		return "CPU", unitCores
	case "mem":
		return "Memory", unitBytes
	case "pod":
		return "Pods", unitPods
	default:
		return name, unitPieces
	}
}

func (r *Recorder) resourceChart(name string, over span) chart {
	title, unit := titleOf(name)
	if r.cluster[name+suffixCapacity].Format == resource.BinarySI {
		unit = unitBytes
	}
	line := func(suffix, class, label string, get func(amounts) float64) series {
		s := series{Class: class, Label: label, Now: quantityOf(name+suffix, r.cluster[name+suffix])}
		if of := r.resources[name]; of != nil {
			for _, was := range *of {
				s.add(was.at, get(was.value))
			}
		}
		return s
	}
	requests := line(suffixRequests, "s-requests", "Requested", func(a amounts) float64 { return a.requests })
	requests.area = true
	return newChart("resource/"+name, title, unit, over, []series{
		requests,
		line(suffixRemaining, "s-remaining", "Remaining", func(a amounts) float64 { return a.remaining }),
		line(suffixAllocatable, "s-allocatable", "Allocatable", func(a amounts) float64 { return a.allocatable }),
		line(suffixCapacity, "s-capacity", "Capacity", func(a amounts) float64 { return a.capacity }),
	})
}
