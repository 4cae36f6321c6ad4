// Package serve is what an agent answers over HTTP: whether it is alive, whether
// the broker of its pod is online, and, in the lead's pod, what the Flux
// instance has and wants, for Prometheus.
//
// It asks the broker through one connection to its local socket, which is made
// again when the broker was. Nothing waits longer than a bounded time for a
// broker that does not answer.
//
// The text format is written here: a library for it would cost the agent, which
// runs in every pod, more memory than all the rest of it.
package serve
