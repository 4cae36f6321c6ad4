package flux

import "context"

// SchedStatus are the resources of a scheduler and their use (RFC 27).
type SchedStatus struct {
	// All are the resources for jobs: without excluded nodes.
	All Resources `json:"all"`
	// Down is the part of All that is offline, drained or torpid.
	Down Resources `json:"down"`
	// Allocated is the part of All that jobs have.
	Allocated Resources `json:"allocated"`
}

// SchedStatus queries rank 0: service resource.sched-status, open to guests. If that is not offered, as before Flux
// 0.61, it queries sched.resource-status, which needs a scheduler.
func (c *Client) SchedStatus(ctx context.Context) (SchedStatus, error) {
	var out SchedStatus
	err := c.Call(ctx, "resource.sched-status", Leader, nil, &out)
	if notOffered(err) {
		err = c.Call(ctx, "sched.resource-status", Leader, nil, &out)
	}
	return out, err
}

// Free returns the resources that a job could get now.
func (s SchedStatus) Free() Resources { return s.All.Without(s.Down).Without(s.Allocated) }
