package flux

import (
	"context"
	"fmt"
)

// QueueStatus is the state of a queue.
type QueueStatus struct {
	// Name is empty for the queue of an instance without named queues.
	Name string `json:"-"`
	// Enabled: jobs may be submitted. Started: jobs are run.
	Enabled bool `json:"enable"`
	Started bool `json:"start"`
	// DisableReason and StopReason are the reasons, if an administrator set one.
	DisableReason string `json:"disable_reason,omitempty"`
	StopReason    string `json:"stop_reason,omitempty"`
}

// Queues returns all queues of the instance: services job-manager.queue-list and job-manager.queue-status, open to
// guests. An instance without named queues has one without a name.
func (c *Client) Queues(ctx context.Context) ([]QueueStatus, error) {
	var list struct {
		Queues []string `json:"queues"`
	}
	if err := c.Call(ctx, "job-manager.queue-list", Leader, struct{}{}, &list); err != nil {
		return nil, err
	}
	if len(list.Queues) == 0 {
		status, err := c.queueStatus(ctx, struct{}{})
		return []QueueStatus{status}, err
	}
	out := make([]QueueStatus, 0, len(list.Queues))
	for _, name := range list.Queues {
		status, err := c.queueStatus(ctx, nameRequest{name})
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", name, err)
		}
		status.Name = name
		out = append(out, status)
	}
	return out, nil
}

func (c *Client) queueStatus(ctx context.Context, in any) (QueueStatus, error) {
	var out QueueStatus
	err := c.Call(ctx, "job-manager.queue-status", Leader, in, &out)
	return out, err
}

// StopQueues stops all queues: pending jobs do not run until they are started again. Service
// job-manager.queue-start, owner only. A job may start shortly after the response, because the scheduler may have
// decided already.
func (c *Client) StopQueues(ctx context.Context, reason string) error {
	return c.startQueue(ctx, queueRequest{All: true, Reason: reason})
}

// RestoreQueue starts or stops one queue, as its former status says: service job-manager.queue-start, owner only.
func (c *Client) RestoreQueue(ctx context.Context, q QueueStatus) error {
	in := queueRequest{Name: q.Name, Start: q.Started, All: q.Name == ""}
	if !q.Started {
		in.Reason = q.StopReason
	}
	return c.startQueue(ctx, in)
}

type queueRequest struct {
	Name   string `json:"name,omitempty"`
	Start  bool   `json:"start"`
	All    bool   `json:"all"`
	Reason string `json:"reason,omitempty"`
}

func (c *Client) startQueue(ctx context.Context, in queueRequest) error {
	return c.Call(ctx, "job-manager.queue-start", Leader, in, nil)
}
