// Package drain decides whether a Job may shrink: the removed ranks must be idle, or there is a reason not to wait
// for them. [Decide] is a pure function; do not add a client or a clock to this package. Package agents, below it, is
// the client that asks the agent of the lead broker to drain ranks. Package controller connects both and records on
// the Job which ranks may be drained.
package drain
