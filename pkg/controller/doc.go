// Package controller turns MiniClusters into Secrets, ConfigMaps, Services and
// Indexed Jobs, keeps their size within its bounds and reports what it sees.
//
// Where to look:
//
//   - controller.go, handlers.go: informers, queue, workers, which object wakes
//     which MiniCluster
//   - sync.go: one sync, as a table of steps
//   - step_*.go: the steps; only they talk to the API server
//   - build_*.go: the objects, as pure functions of a MiniCluster and of what was
//     decided for it (facts.go)
//   - denied.go, immutable.go: sizes out of bounds, and fields edited too late
//   - status.go, events.go: what is reported, as pure functions of what a sync saw;
//     report.go, pace.go: when it is written
//   - errors.go, process.go: kinds of errors, and when a sync is tried again
//   - freshness.go: the guard against stale caches
package controller
