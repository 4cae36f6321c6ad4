// Package drain decides whether a Job may shrink: the ranks that go must be idle, or there
// is a reason not to wait for them. [Decide] is a pure function. Package agents, below it,
// is the client that asks the agent of the lead broker to drain ranks; package controller
// connects both and records on the Job which ranks may be drained.
package drain
