// Package capacity tells what a Kubernetes cluster leaves free: its nodes' capacity,
// what pods request of it, and how many pods of a MiniCluster would fit.
//
// All of it is counted as the scheduler counts, in the same units and with the same
// rounding, because the scheduler decides in the end what fits. State is the record of
// nodes and pods, kept up to date one event at a time; everything else is computed from
// it when asked.
package capacity
