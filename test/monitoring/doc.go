// Package monitoring tests manifests/monitoring with the parser of Prometheus and the API types of the Prometheus
// Operator. It is a separate module, so that the project does not depend on these.
package monitoring
