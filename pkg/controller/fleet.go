package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// Fleet counts all MiniClusters by their conditions, for Prometheus, from the caches at the moment in which it is
// asked. Every replica of the controller counts, also one that stands by.
type Fleet struct {
	listers []listers.MiniClusterLister

	clusters *prometheus.Desc
	since    *prometheus.Desc
}

// standing is a condition as it is counted: no names, few values.
type standing struct {
	condition, status, reason string
}

// labels are in the order of fleetLabels.
func (s standing) labels() []string { return []string{s.condition, s.status, s.reason} }

func fleetLabels() []string { return []string{"condition", "status", "reason"} }

// reasonNoStatus is counted for a MiniCluster that no controller has reported on yet.
const reasonNoStatus = "NoStatus"

// NewFleet makes a collector of the MiniClusters that informers see.
func NewFleet(informers []Informers) *Fleet {
	f := &Fleet{
		clusters: prometheus.NewDesc("minicluster_clusters", "MiniClusters by condition, its status and its reason.", fleetLabels(), nil),
		since: prometheus.NewDesc("minicluster_clusters_oldest_timestamp_seconds",
			"Since when the condition has had this status, of the MiniCluster where that is longest, in seconds since 1970.", fleetLabels(), nil),
	}
	for _, i := range informers {
		f.listers = append(f.listers, i.Flux.FluxFramework().V1alpha2().MiniClusters().Lister())
	}
	return f
}

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(to chan<- *prometheus.Desc) {
	to <- f.clusters
	to <- f.since
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(to chan<- prometheus.Metric) {
	number, oldest := map[standing]int{}, map[standing]time.Time{}
	count := func(s standing, since time.Time) {
		number[s]++
		if first, known := oldest[s]; !known || since.Before(first) {
			oldest[s] = since
		}
	}
	for _, lister := range f.listers {
		all, err := lister.List(labels.Everything())
		if err != nil {
			continue // a cache does not fail
		}
		for _, mc := range all {
			for i := range mc.Status.Conditions {
				c := &mc.Status.Conditions[i]
				count(standing{c.Type, string(c.Status), c.Reason}, c.LastTransitionTime.Time)
			}
			if len(mc.Status.Conditions) == 0 {
				count(standing{v1alpha2.ConditionAccepted, string(metav1.ConditionUnknown), reasonNoStatus}, mc.CreationTimestamp.Time)
			}
		}
	}
	for s, n := range number {
		to <- prometheus.MustNewConstMetric(f.clusters, prometheus.GaugeValue, float64(n), s.labels()...)
		to <- prometheus.MustNewConstMetric(f.since, prometheus.GaugeValue, float64(oldest[s].Unix()), s.labels()...)
	}
}
