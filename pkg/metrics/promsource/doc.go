// Package promsource provides results of Prometheus queries, which an administrator keeps in a
// ConfigMap, as metrics of pods, Services and MiniClusters, or as external metrics.
//
// A query is sent to Prometheus as it is: nothing in a request to the metrics API ever becomes a part of it. It runs
// when its metric is requested; the result contains the values of all objects and is reused for an interval. Do not
// serve an old answer after a failure.
package promsource
