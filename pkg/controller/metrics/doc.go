// Package metrics has the controller's own metrics. Add a metric here and to the table in docs/operations.md. Labels
// must have few values: no name of a MiniCluster or of a namespace.
package metrics
