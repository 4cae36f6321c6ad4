// Package metrics defines the sources of metrics for autoscalers, and the Provider that serves them
// as custom.metrics.k8s.io and external.metrics.k8s.io.
//
// A custom metric describes an object in the cluster; an external metric does not. The packages
// below this one implement the sources (fluxsource, capacity, recommended, promsource), the web page (page), the
// registration with the API server (serving) and the process (app).
//
// Imports point in one direction: app imports page and serving, these import the sources, and the
// sources import this package. Sources do not import each other. The linter enforces it.
package metrics
