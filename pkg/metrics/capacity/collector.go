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

// Collector is a source's Prometheus metrics. It computes them when they are asked for.
type Collector struct {
	source *Source
	pools  map[string]labels.Selector

	cluster      map[string]*prometheus.Desc
	nodes        *prometheus.Desc
	miniClusters map[string]*prometheus.Desc
	fitting      *prometheus.Desc
	tutorial     map[string]*prometheus.Desc
}

// NewCollector makes a collector for all nodes and for the source's pools of nodes.
func NewCollector(source *Source) *Collector {
	c := &Collector{
		source: source, pools: map[string]labels.Selector{AllNodes: labels.Everything()},
		cluster: map[string]*prometheus.Desc{}, miniClusters: map[string]*prometheus.Desc{}, tutorial: map[string]*prometheus.Desc{},
	}
	maps.Copy(c.pools, source.options.Pools)
	of := []string{"nodes", "resource", "unit"}
	seen := []string{"namespace", "minicluster", "resource", "unit"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c.cluster[kindCapacity] = desc("minicluster_nodes_capacity", "What the nodes have that are ready and not cordoned.", of)
	c.cluster[kindAllocatable] = desc("minicluster_nodes_allocatable", "What of it pods may request.", of)
	c.cluster[kindRequests] = desc("minicluster_nodes_requests", "What the pods on these nodes hold.", of)
	c.cluster[kindRemaining] = desc("minicluster_nodes_remaining", "What may still be requested on these nodes.", of)
	c.nodes = desc("minicluster_nodes", "Nodes that are ready and not cordoned.", of[:1])
	c.miniClusters[kindAllocatable] = desc("minicluster_eligible_nodes_allocatable", "What pods may request on the nodes that the MiniCluster may use.", seen)
	c.miniClusters[kindRequests] = desc("minicluster_eligible_nodes_requests", "What everything but the MiniCluster holds there.", seen)
	c.miniClusters[kindRemaining] = desc("minicluster_eligible_nodes_remaining", "What is left to the MiniCluster there, with what it holds, without the reserve.", seen)
	c.fitting = desc("minicluster_size_fitting", "Pods that the MiniCluster could have, those that it has among them.", seen[:2])
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
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	if !c.source.Synced() {
		return // with nodes and without their pods, everything would be free
	}
	for pool, selector := range c.pools {
		sums := c.source.Cluster(selector)
		remaining := sums.Remaining()
		to <- gauge(c.nodes, float64(sums.Nodes), pool)
		for kind, r := range map[string]*Resources{
			kindCapacity: &sums.Capacity, kindAllocatable: &sums.Allocatable, kindRequests: &sums.Requests, kindRemaining: &remaining,
		} {
			sendAll(to, c.cluster[kind], sums.Names, r, pool)
		}
		if pool != AllNodes {
			continue
		}
		figures := sums.Figures()
		for name, desc := range c.tutorial {
			value := figures[name]
			to <- gauge(desc, value.AsApproximateFloat64())
		}
	}
	c.collectMiniClusters(to)
}

// collectMiniClusters leaves out those that can't be answered for; who asks for their
// metrics is told why.
func (c *Collector) collectMiniClusters(to chan<- prometheus.Metric) {
	all, err := c.source.miniClusters.List(labels.Everything())
	if err != nil {
		return
	}
	views, _ := c.source.views(all)
	for mc, view := range views {
		if len(view.Uncounted) == 0 {
			to <- gauge(c.fitting, float64(view.Fitting), mc.Namespace, mc.Name)
		}
		for kind, r := range map[string]*Resources{
			kindAllocatable: &view.Allocatable, kindRequests: &view.Requests, kindRemaining: &view.Remaining,
		} {
			sendAll(to, c.miniClusters[kind], view.Names, r, mc.Namespace, mc.Name)
		}
	}
}

// sendAll sends an amount of each resource.
func sendAll(to chan<- prometheus.Metric, desc *prometheus.Desc, resources []corev1.ResourceName, r *Resources, labels ...string) {
	for name := range distinct(resources) {
		value := quantity(name, r.Get(name))
		to <- gauge(desc, value.AsApproximateFloat64(), append(slices.Clone(labels), sanitize(string(name)), unit(name))...)
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
