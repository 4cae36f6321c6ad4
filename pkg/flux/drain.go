package flux

import (
	"context"
	"errors"
	"syscall"
)

type drainRequest struct {
	Targets IDSet  `json:"targets"`
	Reason  string `json:"reason,omitempty"`
	Mode    string `json:"mode,omitempty"`
}

// undrainAttempts limits the attempts of an undrain that conflicts with others.
const undrainAttempts = 3

// drainUpdate is the mode that applies a request to the ranks that it changes, instead of rejecting the whole request
// if it does not change all of them.
const drainUpdate = "update"

// Drain stops new jobs on ranks; running jobs continue: service resource.drain, owner only. A drained rank keeps its
// reason, so the call is idempotent.
func (c *Client) Drain(ctx context.Context, ranks IDSet, reason string) error {
	if ranks.Empty() {
		return nil
	}
	return c.Call(ctx, "resource.drain", Leader, drainRequest{ranks, reason, drainUpdate}, nil)
}

// Undrain undrains those of the ranks that are drained for this reason, and does not change others: services
// resource.status and resource.undrain, owner only. It returns the ranks that it undrained.
func (c *Client) Undrain(ctx context.Context, ranks IDSet, reason string) (IDSet, error) {
	for attempt := 0; ; attempt++ {
		status, err := c.ResourceStatus(ctx)
		if err != nil {
			return IDSet{}, err
		}
		ours := status.DrainedFor(reason).Intersect(ranks)
		if ours.Empty() {
			return IDSet{}, nil
		}
		// Without a mode: if one of the ranks is no longer drained, another client is changing them. Old versions do not
		// have that mode.
		err = c.Call(ctx, "resource.undrain", Leader, drainRequest{Targets: ours}, nil)
		if raced := errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.EINVAL); raced && attempt < undrainAttempts-1 {
			continue
		}
		return ours, err
	}
}
