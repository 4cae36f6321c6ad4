package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ClusterCollector counts all MiniClusters by their conditions for Prometheus, from the caches at the time of a
// scrape. Every replica of the controller serves it, including standbys.
type ClusterCollector struct {
	list func() []*v1alpha2.MiniCluster

	clusters *prometheus.Desc
	since    *prometheus.Desc
}

// standing is a condition as it is counted: without names, and with few different values.
type standing struct {
	condition, status, reason string
}

// labels returns the values of clusterLabels, in that order.
func (s standing) labels() []string { return []string{s.condition, s.status, s.reason} }

func clusterLabels() []string { return []string{"condition", "status", "reason"} }

// reasonNoStatus is the reason for a MiniCluster without a status.
const reasonNoStatus = "NoStatus"

// NewClusterCollector returns a collector of the MiniClusters in the caches.
func NewClusterCollector(list func() []*v1alpha2.MiniCluster) *ClusterCollector {
	return &ClusterCollector{
		list:     list,
		clusters: prometheus.NewDesc("minicluster_status_condition", "MiniClusters by condition, its status and its reason.", clusterLabels(), nil),
		since: prometheus.NewDesc("minicluster_status_condition_oldest_timestamp_seconds",
			"Earliest last transition time of the condition among the MiniClusters with this status, in seconds since 1970.", clusterLabels(), nil),
	}
}

// Describe implements prometheus.Collector.
func (f *ClusterCollector) Describe(to chan<- *prometheus.Desc) {
	to <- f.clusters
	to <- f.since
}

// Collect implements prometheus.Collector.
func (f *ClusterCollector) Collect(to chan<- prometheus.Metric) {
	number, oldest := map[standing]int{}, map[standing]time.Time{}
	count := func(s standing, since time.Time) {
		number[s]++
		if first, known := oldest[s]; !known || since.Before(first) {
			oldest[s] = since
		}
	}
	for _, mc := range f.list() {
		for i := range mc.Status.Conditions {
			c := &mc.Status.Conditions[i]
			count(standing{c.Type, string(c.Status), c.Reason}, c.LastTransitionTime.Time)
		}
		if len(mc.Status.Conditions) == 0 {
			count(standing{v1alpha2.ConditionAccepted, string(metav1.ConditionUnknown), reasonNoStatus}, mc.CreationTimestamp.Time)
		}
	}
	for s, n := range number {
		to <- prometheus.MustNewConstMetric(f.clusters, prometheus.GaugeValue, float64(n), s.labels()...)
		to <- prometheus.MustNewConstMetric(f.since, prometheus.GaugeValue, float64(oldest[s].Unix()), s.labels()...)
	}
}
