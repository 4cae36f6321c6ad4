// Package serving registers the metrics API server with the API server of Kubernetes: it manages the
// serving certificate, which replicas share in a Secret and renew before it expires, and the
// APIServices that route requests to the server.
//
// It knows nothing of metrics. It must never change an APIService that belongs to another server.
package serving
