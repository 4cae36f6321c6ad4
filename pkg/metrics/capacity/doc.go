// Package capacity provides metrics of the capacity of a Kubernetes cluster: what nodes have, what pods
// request, and how many pods of a MiniCluster would fit.
//
// It counts as the scheduler does, in the same units and with the same rounding, because the scheduler decides which
// pods fit. A clusterState follows the events of nodes and pods. A snapshot is an immutable copy of it, from which
// everything else is computed without blocking events. A Source takes at most one snapshot per interval, so that the
// metrics API, /metrics and the page agree. Add a metric in metrics.go. Do not approximate: a test compares every
// number with a recount.
package capacity
