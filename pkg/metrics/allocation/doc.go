// Package allocation divides the free capacity of a Kubernetes cluster between opportunistic MiniClusters. It is pure:
// a function of one snapshot, without clock, randomness and API objects.
//
// Everything that is not opportunistic is paying: pods of other workloads, ordinary MiniClusters, and the ranks of an
// opportunistic MiniCluster (a filler) below its minimum. The computation has two parts.
//
// Admit places the pending paying pods, node by node as the scheduler would: where they fit now, otherwise where they
// fit once fillers have removed ranks. A filler removes its highest ranks, wherever these run, so a pod that needs a
// whole node may make it remove more pods than the pod has cores. That is the only part that depends on where the
// pods of fillers run.
//
// Fill then shares the rest, max-min by weight, as if no rank above a minimum existed. So the result depends on the
// load and not on the sizes that the fillers have, and computing it again after the fillers have followed changes
// nothing. Ranks that run on nodes that accept no new pods count as they are.
package allocation
