package fluxtest

import (
	"maps"
	"slices"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

func (i *Instance) queueList(*Request) (any, error) {
	names := slices.Sorted(maps.Keys(i.State.Queues))
	return map[string]any{"queues": slices.DeleteFunc(names, func(name string) bool { return name == "" })}, nil
}

// QueueRequest is the payload of the services of queues.
type QueueRequest struct {
	Name   string `json:"name,omitempty"`
	Start  bool   `json:"start"`
	Enable bool   `json:"enable"`
	All    bool   `json:"all"`
	Reason string `json:"reason"`
}

func (i *Instance) queueStatus(r *Request) (any, error) {
	in, err := Decode[QueueRequest](r)
	if err != nil {
		return nil, err
	}
	q, ok := i.State.Queues[in.Name]
	if !ok {
		return nil, Fail(syscall.EINVAL, "'%s' is not a valid queue", in.Name)
	}
	return *q, nil
}

func (i *Instance) queueStart(r *Request) (any, error) {
	return nil, i.changeQueues(r, func(in QueueRequest, q *flux.QueueStatus) {
		q.Started, q.StopReason = in.Start, ""
		if !in.Start {
			q.StopReason = in.Reason
		}
	})
}

func (i *Instance) queueEnable(r *Request) (any, error) {
	return nil, i.changeQueues(r, func(in QueueRequest, q *flux.QueueStatus) {
		q.Enabled, q.DisableReason = in.Enable, ""
		if !in.Enable {
			q.DisableReason = in.Reason
		}
	})
}

func (i *Instance) changeQueues(r *Request, change func(QueueRequest, *flux.QueueStatus)) error {
	in, err := Decode[QueueRequest](r)
	if err != nil {
		return err
	}
	one, ok := i.State.Queues[in.Name]
	switch {
	case in.Name != "" && !ok:
		return Fail(syscall.EINVAL, "invalid queue: %s", in.Name)
	case ok:
		change(in, one)
	case !in.All:
		return Fail(syscall.EINVAL, "Use --all to apply this command to all queues")
	}
	if in.Name == "" {
		for _, q := range i.State.Queues {
			change(in, q)
		}
	}
	return nil
}
