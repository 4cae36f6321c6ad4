// Package serving is how the metrics API server becomes a part of the Kubernetes API:
// its serving certificate, which replicas share in a Secret and renew in time, and the
// APIServices that lead requests to it.
package serving
