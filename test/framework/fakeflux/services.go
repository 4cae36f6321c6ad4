package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// service is a method that the broker offers.
type service struct {
	do    func(b *broker, r *request) (any, error)
	guest bool // guests may call it
	lead  bool // only rank 0 has it
	many  bool // it sends its responses itself
}

func services() map[string]service {
	return map[string]service{
		"attr.get":          {do: getAttribute, guest: true},
		"broker.ping":       {do: ping, guest: true},
		"groups.get":        {do: getGroup, guest: true, lead: true},
		"overlay.health":    {do: health, guest: true},
		"state-machine.get": {do: getState, guest: true},

		"resource.status":       {do: resourceStatus, guest: true, lead: true},
		"resource.sched-status": {do: schedStatus, guest: true, lead: true},
		"resource.drain":        {do: drain, lead: true},
		"resource.undrain":      {do: undrain, lead: true},

		"job-list.list":            {do: listJobs, guest: true, lead: true},
		"job-list.job-stats":       {do: jobStats, guest: true, lead: true},
		"job-manager.queue-list":   {do: queueList, guest: true, lead: true},
		"job-manager.queue-status": {do: queueStatus, guest: true, lead: true},
		"job-manager.queue-start":  {do: queueStart, lead: true},
		"job-manager.queue-enable": {do: queueEnable, lead: true},
		"job-manager.idle":         {do: idle, lead: true},
		"job-manager.stats-get":    {do: managerStats, guest: true, lead: true},
		"job-manager.raise":        {do: raiseOne, guest: true, lead: true},
		"job-manager.raiseall":     {do: raiseAll, lead: true},

		// What follows is between the commands and the broker of this program only.
		"fakeflux.submit":   {do: submitJob, guest: true, lead: true},
		"fakeflux.attach":   {do: attachJob, guest: true, lead: true, many: true},
		"fakeflux.wait-all": {do: waitAll, lead: true},
		"fakeflux.dump":     {do: dumpState, lead: true},
		"fakeflux.shutdown": {do: shutdown, lead: true},
	}
}

// route sends a request to where it is served, here or at another broker.
func (b *broker) route(r *request) {
	s, known := services()[r.topic]
	module, _, _ := strings.Cut(r.topic, ".")
	here := r.node == flux.Node(b.rank) || (r.node == flux.AnyNode && (b.rank == 0 || !s.lead))
	switch {
	case r.node != flux.AnyNode && int(r.node) >= len(b.conf.hosts):
		r.answer(nil, fail(syscall.EHOSTUNREACH, "no rank %d", r.node))
	case !known && (here || b.rank == 0 && r.node == flux.AnyNode):
		r.answer(nil, fail(syscall.ENOSYS, "No service matching %s is registered", r.topic))
	case b.rank != 0 && s.lead && module == "resource" && (here || r.node == flux.AnyNode):
		r.answer(nil, fail(syscall.EPROTO, "this RPC only works on rank 0")) // the module is loaded everywhere
	case here && b.rank != 0 && s.lead:
		r.answer(nil, fail(syscall.ENOSYS, "No service matching %s is registered", r.topic))
	case here && !s.guest && r.roles&roleOwner == 0:
		r.answer(nil, fail(syscall.EPERM, "Request requires owner credentials"))
	case here && s.many:
		_, err := s.do(b, r)
		if err == nil {
			err = fail(syscall.ENODATA, "")
		}
		r.answer(nil, err)
	case here:
		r.answer(s.do(b, r))
	case b.rank != 0:
		b.pass(r, func() *link { return b.parent })
	default:
		b.pass(r, func() *link {
			if p := b.peers[int(r.node)]; p != nil {
				return p.link
			}
			return nil
		})
	}
}

// pass sends a request on to another broker.
func (b *broker) pass(r *request, to func() *link) {
	b.mu.Lock()
	l := to()
	b.mu.Unlock()
	if l == nil {
		r.answer(nil, fail(syscall.EHOSTUNREACH, "No route to host"))
		return
	}
	l.forward(r)
}

type named struct {
	Name string `json:"name"`
}

func getAttribute(b *broker, r *request) (any, error) {
	in, err := decode[named](r)
	if err != nil {
		return nil, err
	}
	value, ok := b.attrs[in.Name]
	if !ok {
		return nil, fail(syscall.ENOENT, "%s: no such attribute", in.Name)
	}
	return map[string]any{"value": value, "flags": 0}, nil
}

func ping(b *broker, r *request) (any, error) {
	return map[string]any{"userid": r.user, "rolemask": r.roles, "route": b.attrs["rank"]}, nil
}

func getGroup(b *broker, r *request) (any, error) {
	in, err := decode[named](r)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	members := ""
	if in.Name == flux.GroupOnline {
		members = formatIDs(b.online())
	}
	return map[string]string{"members": members}, nil
}

func getState(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return map[string]any{"state": b.state, "duration": time.Since(b.since).Seconds()}, nil
}

// health is the state of the subtree of a broker: all are children of rank 0.
func health(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	self := flux.Overlay{Rank: uint32(b.rank), Status: flux.HealthFull, Seconds: time.Since(b.since).Seconds(), Children: []flux.Overlay{}}
	if b.rank != 0 {
		return self, nil
	}
	for rank := 1; rank < len(b.conf.hosts); rank++ {
		child := flux.Overlay{Rank: uint32(rank), Status: flux.HealthOffline, Seconds: time.Since(b.since).Seconds()}
		if p := b.peers[rank]; p != nil {
			child.Seconds = time.Since(p.changed).Seconds()
			switch {
			case p.link != nil:
				child.Status = flux.HealthFull
			case p.lost:
				child.Status = flux.HealthLost
			}
		}
		switch {
		case child.Status == flux.HealthLost:
			self.Status = flux.HealthDegraded
		case child.Status == flux.HealthOffline && self.Status == flux.HealthFull:
			self.Status = flux.HealthPartial
		}
		self.Children = append(self.Children, child)
	}
	return self, nil
}

func resourceStatus(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	together := map[drainInfo][]int{}
	for _, rank := range slices.Sorted(maps.Keys(b.drained)) {
		together[b.drained[rank]] = append(together[b.drained[rank]], rank)
	}
	drained := map[string]drainInfo{}
	for info, ranks := range together {
		drained[formatIDs(ranks)] = info
	}
	online := b.online()
	offline := b.resources.only(func(rank int) bool { return !slices.Contains(online, rank) })
	return map[string]any{
		"R": b.resources.encode(), "drain": drained,
		"online": formatIDs(online), "offline": formatIDs(offline.ranks()),
		"exclude": formatIDs(slices.Collect(maps.Keys(b.excluded))),
		"torpid":  formatIDs(b.ranksThat(func(p *peer) bool { return p.torpid })),
	}, nil
}

func schedStatus(b *broker, _ *request) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.resources.only(func(rank int) bool { return !b.excluded[rank] })
	return map[string]any{
		"all": all.encode(), "allocated": b.allocated().encode(),
		"down": all.only(func(rank int) bool { return b.state != stateRun && b.state != stateCleanup || !b.usable(rank) }).encode(),
	}, nil
}

type drainRequest struct {
	Targets string `json:"targets"`
	Reason  string `json:"reason"`
	Mode    string `json:"mode"`
}

// targets are ranks, or hosts.
func (b *broker) targets(text string) ([]int, error) {
	ranks, err := parseIDs(text)
	if err != nil {
		for name := range strings.SplitSeq(text, ",") {
			i := slices.IndexFunc(b.conf.hosts, func(h host) bool { return h.name == name })
			if i < 0 {
				return nil, fail(syscall.EINVAL, "failed to decode hostlist or idset %s", text)
			}
			ranks = append(ranks, i)
		}
	}
	if len(ranks) == 0 {
		return nil, fail(syscall.EINVAL, "no targets")
	}
	if last := slices.Max(ranks); last >= len(b.conf.hosts) {
		return nil, fail(syscall.EINVAL, "rank %s is out of range", strconv.Itoa(last))
	}
	return ranks, nil
}

func drain(b *broker, r *request) (any, error) {
	in, err := decode[drainRequest](r)
	if err != nil {
		return nil, err
	}
	ranks, err := b.targets(in.Targets)
	if err != nil {
		return nil, err
	}
	b.update(func() {
		info := drainInfo{now(), in.Reason}
		var taken []int
		for _, rank := range ranks {
			if _, ok := b.drained[rank]; ok {
				taken = append(taken, rank)
			}
		}
		switch {
		case len(taken) > 0 && in.Mode == "":
			err = fail(syscall.EEXIST, "rank(s) %s already drained", formatIDs(taken))
			return
		case in.Mode == "update":
			ranks = slices.DeleteFunc(ranks, func(rank int) bool {
				old, ok := b.drained[rank]
				return ok && old.Reason != ""
			})
		}
		for _, rank := range ranks {
			b.drained[rank] = info
		}
	})
	return nil, err
}

func undrain(b *broker, r *request) (any, error) {
	in, err := decode[drainRequest](r)
	if err != nil {
		return nil, err
	}
	ranks, err := b.targets(in.Targets)
	if err != nil {
		return nil, err
	}
	b.update(func() {
		for _, rank := range ranks {
			if _, ok := b.drained[rank]; !ok && in.Mode != "force" {
				err = fail(syscall.EINVAL, "rank(s) %s not drained", formatIDs([]int{rank}))
				return
			}
		}
		for _, rank := range ranks {
			delete(b.drained, rank)
		}
	})
	return nil, err
}

func shutdown(b *broker, r *request) (any, error) {
	in, err := decode[named](r)
	if err != nil {
		return nil, err
	}
	b.update(func() {
		b.stopping = true
		if in.Name != "" {
			b.attrs["content.dump"] = in.Name
		}
	})
	return nil, nil
}
