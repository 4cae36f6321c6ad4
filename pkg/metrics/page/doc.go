// Package page is the page of the metrics API server: what is free in the Kubernetes
// cluster, how large each MiniCluster is beside what it wants and may have, and what
// changed, now and over the last hour.
//
// A Recorder takes the numbers from the same sources as the metrics API, at intervals,
// and keeps a bounded history in memory. Install puts the page on the API server, below an
// API group of its own, so that Kubernetes decides who asks and whether they may. It is
// rendered here, needs nothing from elsewhere and no script; a small script updates it
// as long as it is looked at.
package page
