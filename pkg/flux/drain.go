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

// undrainAttempts bounds how often an undrain is tried that others interfere
// with.
const undrainAttempts = 3

// drainUpdate makes a request apply to the ranks that it changes something for,
// instead of refusing all if there is one that it does not.
const drainUpdate = "update"

// Drain keeps new jobs off ranks; those that run there go on: service
// resource.drain, owner only. A rank that is drained already stays so, with the
// reason that it has, so that doing it twice is doing it once.
func (c *Client) Drain(ctx context.Context, ranks IDSet, reason string) error {
	if ranks.Empty() {
		return nil
	}
	return c.Call(ctx, "resource.drain", Leader, drainRequest{ranks, reason, drainUpdate}, nil)
}

// Undrain gives those of the ranks that are drained for this reason back to the
// scheduler, and leaves others as they are: services resource.status and
// resource.undrain, owner only. It returns the ranks that it gave back.
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
		// Without mode: that one of them is not drained any more means that
		// somebody else is at it. Old versions have no such mode anyway.
		err = c.Call(ctx, "resource.undrain", Leader, drainRequest{Targets: ours}, nil)
		if raced := errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.EINVAL); raced && attempt < undrainAttempts-1 {
			continue
		}
		return ours, err
	}
}
