package fluxtest

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// offer registers the services of the instance.
func (i *Instance) offer() {
	schedStatus := "resource.sched-status"
	if i.old {
		schedStatus = "sched.resource-status"
	}
	for topic, do := range map[string]Service{
		"attr.get":                 i.attrGet,
		"state-machine.get":        i.stateGet,
		"overlay.health":           i.overlayHealth,
		"resource.status":          i.resourceStatus,
		schedStatus:                i.schedStatus,
		"job-list.list":            i.jobList,
		"job-list.job-stats":       i.jobStats,
		"job-manager.queue-list":   i.queueList,
		"job-manager.queue-status": i.queueStatus,
		"job-manager.stats-get":    i.managerStats,
	} {
		i.Offer(topic, true, i.reads(do))
	}
	i.Offer("job-manager.raise", true, i.changes(i.raise))
	for topic, do := range map[string]Service{
		"attr.set":                 i.attrSet,
		"resource.drain":           i.drain,
		"resource.undrain":         i.undrain,
		"job-manager.raiseall":     i.raiseAll,
		"job-manager.queue-start":  i.queueStart,
		"job-manager.queue-enable": i.queueEnable,
	} {
		i.Offer(topic, false, i.changes(do))
	}
	i.Handle("groups.get", i.groupsGet)
	if !i.old { // in another form
		i.Handle("job-manager.events-journal", i.eventsJournal)
	}
}

func (i *Instance) reads(do Service) Service {
	return func(r *Request) (out any, err error) {
		i.Read(func() { out, err = do(r) })
		return out, err
	}
}

func (i *Instance) changes(do Service) Service {
	return func(r *Request) (out any, err error) {
		i.Update(func() { out, err = do(r) })
		return out, err
	}
}

type named struct{ Name string }

func (i *Instance) attrGet(r *Request) (any, error) {
	in, err := Decode[named](r)
	if err != nil {
		return nil, err
	}
	value, ok := i.State.Attrs[in.Name]
	if !ok {
		return nil, Fail(syscall.ENOENT, "%s: no such attribute", in.Name)
	}
	return map[string]any{"value": value, "flags": 1}, nil
}

func (i *Instance) attrSet(r *Request) (any, error) {
	in, err := Decode[struct{ Name, Value string }](r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.Name, "content.") { // the others that can change do not matter here
		return nil, Fail(syscall.EPERM, "%s cannot be changed", in.Name)
	}
	i.State.Attrs[in.Name] = in.Value
	return nil, nil
}

func (i *Instance) stateGet(*Request) (any, error) {
	return map[string]any{"state": i.State.Broker, "duration": time.Since(i.State.Since).Seconds()}, nil
}

// groupsGet answers each change if it is a stream.
func (i *Instance) groupsGet(r *Request) {
	in, err := Decode[named](r)
	if err != nil || in.Name == "" {
		r.Error(syscall.EPROTO, "")
		return
	}
	members := func() (ranks flux.IDSet) {
		if in.Name == flux.GroupOnline {
			ranks = i.State.Online
		}
		return ranks
	}
	var sent flux.IDSet
	i.Read(func() { sent = members() })
	r.Respond(map[string]any{"members": sent})
	for r.Flags&flux.FlagStreaming != 0 && i.Wait(r.Gone(), func() bool { return !members().Equal(sent) }) {
		i.Read(func() { sent = members() })
		r.Respond(map[string]any{"members": sent})
	}
}

// overlayHealth returns the health of a flat tree: all brokers are children of rank 0.
func (i *Instance) overlayHealth(*Request) (any, error) {
	s := &i.State
	seconds := time.Since(s.Since).Seconds()
	rank, err := strconv.ParseUint(s.Attrs["rank"], 10, 32)
	out := flux.Overlay{Rank: uint32(rank), Status: flux.HealthFull, Seconds: seconds}
	if err != nil || rank != 0 {
		return out, err
	}
	for rank := range s.All().Without(flux.IDs(0)).All() {
		child := flux.Overlay{Rank: rank, Status: flux.HealthFull, Seconds: seconds}
		switch {
		case s.Lost.Contains(rank):
			child.Status, out.Status = flux.HealthLost, flux.HealthDegraded
		case !s.Online.Contains(rank):
			child.Status = flux.HealthOffline
			if out.Status == flux.HealthFull {
				out.Status = flux.HealthPartial
			}
		}
		out.Children = append(out.Children, child)
	}
	return out, nil
}
