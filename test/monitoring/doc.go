// Package monitoring tests what is in manifests/monitoring, with the parser of Prometheus and with the API of the
// Prometheus Operator.
package monitoring
