// Package controller reconciles MiniClusters: it creates their Secrets, ConfigMaps,
// Services and Indexed Jobs, keeps their size within its bounds and writes their status.
// It is the only package below pkg/controller, beside app, that has a Kubernetes client.
//
// Where to look:
//
//   - controller.go, informers.go, handlers.go: clients, caches, and which object wakes
//     which MiniCluster
//   - sync.go: one sync, as a table of steps; reconcile_*.go: the steps
//   - apply.go: patch and createOwned, by which all steps write
//   - outcome.go: how a sync may end, as a table; queue.go: when it is retried
//   - status_writer.go: when the status is written
//   - consistency.go: the guard against stale caches
//
// Objects are built by package resources, the status is computed by package status, and
// packages diagnosis and drain decide without a client. Do not build an object or phrase a
// condition here, and do not call AddAfter of the queue outside queue.go.
package controller
