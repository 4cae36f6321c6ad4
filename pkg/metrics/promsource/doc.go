// Package promsource is the source of metrics that a Prometheus knows: queries that an
// administrator keeps in a ConfigMap become metrics of pods, Services and MiniClusters, or
// external ones.
//
// A query is a whole: what somebody asks the metrics API for never becomes a part of it.
// It is run when it is asked for, its answer has the values of all objects, and serves
// all who ask within an interval.
package promsource
