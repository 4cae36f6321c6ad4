// Package faults breaks the connection between a client and its API server in a reproducible way:
//
//	broken := faults.New()
//	config.Wrap(broken.Wrap)
//	rule := broken.Add(faults.All(faults.Writes, faults.Resource("jobs")), 2, faults.LoseResponse())
//	...
//	<-rule.Fired() // the second write of Jobs was executed, and its response lost
//
// A rule counts the requests that it matches and applies its fault to one of them, or to all with Every. CutWatches,
// HoldWatches and DelayWatches affect watches that are open. Kill breaks all requests from then on, as the death of the
// client would.
//
// The tests in test/integration/hardening run the controller on it. TestEveryWrite breaks each write of the
// controller once, in each way: it counts the writes of each stage in the life of a MiniCluster, breaks the first,
// the second and so on until a stage makes no further write, and checks that the result is the same as without a
// fault. At the end it compares the kinds of writes that were broken with those that the controller's roles allow, so
// that a new kind of write needs a separate stage or an exception in that test. Events and leases are not among the
// writes.
//
// The package must not depend on the controller: it sees requests only.
package faults
