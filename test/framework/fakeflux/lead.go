package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// loadState reads the resources, the queues and the quorum of the instance, which only rank 0 needs.
func (b *broker) loadState(s *fluxtest.State) error {
	var err error
	if s.Resources, s.Hosts, err = loadResources(b.conf); err != nil {
		return err
	}
	s.Online = flux.IDs(0)
	if len(s.Hosts) > len(b.conf.hosts) { // the instance of a batch job: all its nodes are on this host
		b.conf.hosts = nil
		for _, name := range s.Hosts {
			b.conf.hosts = append(b.conf.hosts, host{Name: name})
		}
		s.Online = s.All()
		s.Attrs["size"] = strconv.Itoa(len(s.Hosts))
	}
	if s.Exclude, err = flux.ParseIDSet(b.conf.resource.Exclude); err != nil {
		return fmt.Errorf("resource.exclude: %w", err)
	}
	s.Queues = map[string]*flux.QueueStatus{}
	for _, name := range b.conf.queues { // named queues must be started
		s.Queues[name] = &flux.QueueStatus{Enabled: true}
	}
	if len(s.Queues) == 0 {
		s.Queues[""] = &flux.QueueStatus{Enabled: true, Started: true}
	}
	_, err = b.quorum(s.Attrs)
	return err
}

// nestedR is the environment variable with the resources of the instance of a batch job.
const nestedR = "FAKEFLUX_R"

// loadResources reads the resources of the instance and the names of its hosts. Without a file, every host has the
// resources of this one.
func loadResources(c config) (set flux.Resources, names []string, err error) {
	text := []byte(os.Getenv(nestedR))
	switch {
	case len(text) > 0:
	case c.resource.Path != "":
		if text, err = os.ReadFile(c.resource.Path); err != nil {
			return set, nil, fmt.Errorf("resource.path: %w", err)
		}
	default:
		for rank, h := range c.hosts {
			set.Nodes = append(set.Nodes, flux.NodeResources{Rank: uint32(rank), Cores: localCores()})
			names = append(names, h.Name)
		}
		return set, names, nil
	}
	if err = json.Unmarshal(text, &set); err != nil {
		return set, nil, fmt.Errorf("resource: R: %w", err)
	}
	if names, err = flux.ParseHosts(strings.Join(set.Hosts, ",")); err != nil {
		return set, nil, fmt.Errorf("resource: R: nodelist: %w", err)
	}
	switch hosts, nodes := len(c.hosts), len(set.Nodes); {
	case len(names) != nodes:
		return set, nil, fmt.Errorf("resource: R: %d ranks and %d hosts", nodes, len(names))
	case os.Getenv(nestedR) != "":
		return set, names, nil
	case hosts > nodes:
		return set, nil, fmt.Errorf("resource: Number of hosts (%d) is greater than node count (%d)", hosts, nodes)
	case hosts < nodes:
		return set, nil, fmt.Errorf("resource: Number of hosts (%d) is less than node count (%d)", hosts, nodes)
	}
	return inOrder(set, names, c.hosts)
}

// inOrder assigns the ranks of the brokers to nodes by host.
func inOrder(set flux.Resources, names []string, hosts []host) (flux.Resources, []string, error) {
	byHost := map[string]flux.NodeResources{}
	for i, n := range set.Nodes {
		byHost[names[i]] = n
	}
	for rank, h := range hosts {
		n, ok := byHost[h.Name]
		if !ok {
			return set, nil, fmt.Errorf("resource: Host %s not found in resources", h.Name)
		}
		n.Rank = uint32(rank)
		set.Nodes[rank], names[rank] = n, h.Name
	}
	return set, names, nil
}

// quorum returns the number of brokers that must be online before the program starts.
func (b *broker) quorum(attrs attributes) (int, error) {
	text, ok := attrs["broker.quorum"]
	if !ok {
		return len(b.conf.hosts), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(b.conf.hosts) {
		return 0, fmt.Errorf("broker.quorum: %q is not 0 to %d", text, len(b.conf.hosts))
	}
	return n, nil
}

// lead runs rank 0 until it ends.
func (b *broker) lead() (int, error) {
	if len(b.conf.hosts) > 1 && b.State.Online.Count() == 1 {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", bindAddress(b.conf.hosts[0].Bind))
		if err != nil {
			return 1, err
		}
		defer l.Close()
		go b.acceptPeers(l)
	}
	stop := make(chan struct{})
	defer close(stop)
	go b.watchPeers(stop)
	go b.schedule(stop)

	b.enter(stateInit)
	if err := b.runStartScript(); err != nil {
		return 1, err
	}
	b.enter(flux.StateQuorum)
	code := 0
	if b.awaitQuorum() {
		b.enter(flux.StateRun)
		code = b.runProgram()
	}
	b.enter(flux.StateCleanup)
	b.cleanup()
	b.enter(flux.StateShutdown) // at which followers leave
	if !b.waitFor("broker.shutdown-timeout", func() bool { return len(b.peers) == 0 }) {
		b.log.error("shutdown: followers do not leave")
	}
	b.enter(stateFinalize)
	if err := b.finalize(); err != nil {
		b.log.error("%v", err)
		code = max(code, 1)
	}
	return code, nil
}

// bindAddress understands interface names as ZeroMQ does: tcp://eth0:8050.
func bindAddress(uri string) string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(uri, "tcp://"))
	if err != nil {
		return strings.TrimPrefix(uri, "tcp://")
	}
	if host == "*" {
		host = ""
	} else if i, err := net.InterfaceByName(host); err == nil {
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
			host, _, _ = strings.Cut(addrs[0].String(), "/")
		}
	}
	return net.JoinHostPort(host, port)
}

// awaitQuorum reports whether the quorum was reached before the broker was asked to stop.
func (b *broker) awaitQuorum() bool {
	want, err := b.quorum(b.State.Attrs)
	if err != nil {
		return false
	}
	stop, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	go func() {
		defer close(stop)
		select {
		case s := <-b.signals:
			b.log.info("signal %v", s)
		case <-done:
		}
	}()
	return b.Wait(stop, func() bool { return b.State.Online.Count() >= want || b.stopping }) && !b.stopping
}

// finalize saves the state, and an archive if requested. The broker accepts no more connections.
func (b *broker) finalize() error {
	err := errors.Join(os.Remove(b.Path()), b.save(b.stateFile(), true))
	archive := ""
	b.Read(func() { archive = cmp.Or(b.archive, b.State.Attrs["content.dump"]) })
	if archive != "" {
		err = errors.Join(err, b.save(archive, true))
	}
	return err
}
