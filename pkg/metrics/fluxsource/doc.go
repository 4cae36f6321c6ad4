// Package fluxsource provides metrics of Flux. It queries the agents of all lead brokers in rounds, and
// serves the values of the last round as metrics of the MiniCluster and of its Service.
//
// To add a metric, add it to the table in names.go. Never serve a value of a round that failed.
package fluxsource
