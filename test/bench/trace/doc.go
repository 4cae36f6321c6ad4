// Package trace compares two ways to shrink a cluster, on simulated time: from the top, as Jobs of Kubernetes do, and
// by removing any idle rank. The jobs follow a published model of the logs in the Parallel Workloads Archive.
package trace
