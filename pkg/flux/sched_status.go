package flux

import "context"

// SchedStatus is what a scheduler may use, and what is in use (RFC 27).
type SchedStatus struct {
	// All is what may run jobs: without excluded nodes.
	All Resources `json:"all"`
	// Down is the part of it that is offline, drained or torpid.
	Down Resources `json:"down"`
	// Allocated is the part of it that jobs have.
	Allocated Resources `json:"allocated"`
}

// SchedStatus asks rank 0: service resource.sched-status, open to guests, or
// where that is not offered, as before Flux 0.61, sched.resource-status, which
// needs a scheduler.
func (c *Client) SchedStatus(ctx context.Context) (SchedStatus, error) {
	var out SchedStatus
	err := c.Call(ctx, "resource.sched-status", Leader, nil, &out)
	if NotOffered(err) {
		err = c.Call(ctx, "sched.resource-status", Leader, nil, &out)
	}
	return out, err
}

// Free is what could be given to a job now.
func (s SchedStatus) Free() Resources { return s.All.Without(s.Down).Without(s.Allocated) }
