// Package metrics is what the metrics API server of the project is made of: sources
// of values that autoscalers ask for, and what shows them to Kubernetes as
// custom.metrics.k8s.io and external.metrics.k8s.io.
//
// A Source knows some metrics; its values describe objects (custom metrics) or
// nothing of the cluster (external metrics). The Provider puts sources together.
// Packages below this one are the sources and the process around them.
package metrics
