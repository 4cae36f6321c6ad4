// Package serve is the HTTP server of the agent: whether the agent is alive, whether the broker of its pod is online,
// and, in the lead's pod, the resources and the demand of the Flux instance for Prometheus, and the requests of the
// controller.
//
// It queries the broker over one connection to its local socket, which it reopens after a restart of the broker. No
// request waits longer than a fixed time for a broker that does not respond.
//
// The package writes the text format of Prometheus itself: a library would cost the agent, which runs in every pod,
// more memory than everything else in it. Add a metric in exposition.go. A value that the broker did not return must
// not be served.
package serve
