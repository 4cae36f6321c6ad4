package capacity

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// AllNodes is the value of the label "nodes" for all nodes.
const AllNodes = "all"

// Collector provides the Prometheus metrics of a source. It computes them when they are collected.
type Collector struct {
	source *Source
	pools  map[string]labels.Selector

	cluster      map[string]*prometheus.Desc
	nodes        *prometheus.Desc
	miniClusters map[string]*prometheus.Desc
	fitting      *prometheus.Desc
	podsFitting  *prometheus.Desc
	harvested    *prometheus.Desc
	pending      *prometheus.Desc
	waiting      *prometheus.Desc
	tutorial     map[string]*prometheus.Desc
}

// NewCollector returns a collector for all nodes and for the node pools of a source.
func NewCollector(source *Source) *Collector {
	c := &Collector{
		source: source, pools: map[string]labels.Selector{AllNodes: labels.Everything()},
		cluster: map[string]*prometheus.Desc{}, miniClusters: map[string]*prometheus.Desc{}, tutorial: map[string]*prometheus.Desc{},
	}
	maps.Copy(c.pools, source.options.Pools)
	of := []string{"nodes", "resource", "unit"}
	ofMiniCluster := []string{"namespace", "minicluster", "resource", "unit"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c.cluster[kindCapacity] = desc("minicluster_nodes_capacity", "Capacity of the schedulable nodes, which are ready and not cordoned.", of)
	c.cluster[kindAllocatable] = desc("minicluster_nodes_allocatable", "Allocatable resources of the schedulable nodes.", of)
	c.cluster[kindRequests] = desc("minicluster_nodes_requests", "Requests of the pods on the schedulable nodes.", of)
	c.cluster[kindRemaining] = desc("minicluster_nodes_remaining", "Resources that may still be requested on the schedulable nodes.", of)
	c.nodes = desc("minicluster_nodes", "Number of schedulable nodes, which are ready and not cordoned.", of[:1])
	c.miniClusters[kindAllocatable] = desc("minicluster_eligible_nodes_allocatable", "Allocatable resources of the nodes that the pods of the MiniCluster may use.", ofMiniCluster)
	c.miniClusters[kindRequests] = desc("minicluster_eligible_nodes_requests", "Requests of other pods on these nodes.", ofMiniCluster)
	c.miniClusters[kindRemaining] = desc("minicluster_eligible_nodes_remaining", "Resources that the MiniCluster may use on these nodes, including those that it uses, without the reserve.", ofMiniCluster)
	c.harvested = desc("minicluster_opportunistic_core_seconds_total",
		"Core-seconds that the pods of the opportunistic MiniCluster above its minimum requested.", ofMiniCluster[:2])
	c.pending = desc("minicluster_paying_pods_pending", "Number of pending pods that take precedence over opportunistic MiniClusters, by whether "+
		"there is room for them: now, after_shrink of these, or none.", []string{"room"})
	c.waiting = desc("minicluster_paying_pods_waiting_seconds_total",
		"Seconds for which pods were pending because opportunistic MiniClusters had not shrunk yet, summed over pods.", nil)
	c.fitting = desc("minicluster_size_fitting", "Size of the MiniCluster that fits, within its bounds.", ofMiniCluster[:2])
	c.podsFitting = desc("minicluster_pods_fitting", "Number of pods of the MiniCluster that fit, regardless of its bounds.", ofMiniCluster[:2])
	for _, kind := range []string{kindCapacity, kindAllocatable, kindRequests, kindRemaining} {
		for resource, unit := range map[corev1.ResourceName]string{
			corev1.ResourceCPU: "in thousandths of a core", corev1.ResourceMemory: "in KiB", corev1.ResourcePods: "in pods",
		} {
			name := aliasOf(resource, kind)
			c.tutorial[name] = desc(name, "Older name of minicluster_nodes_"+kind+" for all nodes, "+unit+".", nil)
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, descs := range []map[string]*prometheus.Desc{c.cluster, c.miniClusters, c.tutorial} {
		for _, desc := range descs {
			to <- desc
		}
	}
	to <- c.nodes
	to <- c.fitting
	to <- c.podsFitting
	to <- c.harvested
	to <- c.pending
	to <- c.waiting
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	if !c.source.Synced() {
		return // without all pods, the free capacity would be too large
	}
	snap := c.source.current()
	for pool, selector := range c.pools {
		sums := snap.sumsOf(selector)
		remaining := sums.remaining()
		to <- gauge(c.nodes, float64(sums.Nodes), pool)
		for kind, r := range map[string]*Resources{
			kindCapacity: &sums.Capacity, kindAllocatable: &sums.Allocatable, kindRequests: &sums.Requests, kindRemaining: &remaining,
		} {
			sendAll(to, c.cluster[kind], sums.Names, r, pool)
		}
		if pool != AllNodes {
			continue
		}
		all := sums.Metrics()
		for name, desc := range c.tutorial {
			value := all[name]
			to <- gauge(desc, value.AsApproximateFloat64())
		}
	}
	c.collectMiniClusters(to, snap)
	c.collectAllocation(to, snap)
}

// collectAllocation sends what the opportunistic MiniClusters use, and which pods wait.
func (c *Collector) collectAllocation(to chan<- prometheus.Metric, snap *snapshot) {
	for room, n := range snap.allocated.pending {
		to <- gauge(c.pending, float64(n), string(room))
	}
	harvested, waiting := c.source.counters()
	for name, n := range harvested {
		to <- prometheus.MustNewConstMetric(c.harvested, prometheus.CounterValue, n, name.Namespace, name.Name)
	}
	to <- prometheus.MustNewConstMetric(c.waiting, prometheus.CounterValue, waiting)
}

// collectMiniClusters omits MiniClusters whose headroom is unknown. The metrics API returns the reason.
func (c *Collector) collectMiniClusters(to chan<- prometheus.Metric, snap *snapshot) {
	all, err := c.source.miniClusters.List(labels.Everything())
	if err != nil {
		return
	}
	for _, mc := range all {
		headroom, err := c.source.headroom(snap, mc)
		if err != nil {
			continue
		}
		if fitting, err := snap.sizeFitting(mc, headroom); err == nil {
			to <- gauge(c.fitting, float64(fitting), mc.Namespace, mc.Name)
		}
		if len(headroom.Uncounted) == 0 {
			to <- gauge(c.podsFitting, float64(headroom.Fitting), mc.Namespace, mc.Name)
		}
		for kind, r := range map[string]*Resources{
			kindAllocatable: &headroom.Allocatable, kindRequests: &headroom.Requests, kindRemaining: &headroom.Remaining,
		} {
			sendAll(to, c.miniClusters[kind], headroom.Names, r, mc.Namespace, mc.Name)
		}
	}
}

// sendAll sends the amount of each resource.
func sendAll(to chan<- prometheus.Metric, desc *prometheus.Desc, resources []corev1.ResourceName, r *Resources, labels ...string) {
	for name := range distinct(resources) {
		value := quantity(name, r.Get(name))
		to <- gauge(desc, value.AsApproximateFloat64(), append(slices.Clone(labels), sanitize(string(name)), unit(name))...)
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
