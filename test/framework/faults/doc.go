// Package faults breaks the connection between a client and its API server, on
// purpose and in the same way every time:
//
//	broken := faults.New()
//	config.Wrap(broken.Wrap)
//	rule := broken.Add(faults.All(faults.Writes, faults.Resource("jobs")), 2, faults.LoseResponse())
//	...
//	<-rule.Fired() // the second write of Jobs was done, and its answer lost
//
// A rule counts the requests that it matches and does its fault to one of them (or
// to all, see Every). Watches that are open already are cut, held back or delayed
// with CutWatches, HoldWatches and DelayWatches. Kill breaks everything for good, as
// the death of the client would.
package faults
