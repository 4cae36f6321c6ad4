package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// States of a broker that package flux does not define.
const (
	stateInit     = "init"
	stateFinalize = "finalize"
)

// broker is a running broker. The fields below the instance are only read and changed within its methods Update and
// Wait, like the instance's state.
type broker struct {
	conf    config
	log     logger
	owner   uint32
	rank    int
	proof   string // of the certificate
	program []string
	signals chan os.Signal
	made    []string // directories to remove at the end
	shell   string   // see shellProgram

	*fluxtest.Instance
	stopping bool    // shutdown was requested
	archive  string  // the archive to write at the end
	parent   *uplink // of a follower
	peers    map[uint32]*peer
	jobs     []*job
	revision int // counts changes of jobs
}

const startOptions = "setattr,S= config-path,c= verbose,v? broker-opts,o= wrap="

// startCommand implements flux start: it becomes flux broker.
func startCommand(o options) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	argv := []string{self, "broker"}
	for _, options := range o.all("broker-opts") {
		argv = append(argv, splitWords(options)...)
	}
	if o.has("config-path") {
		argv = append(argv, "--config-path="+o.last("config-path"))
	}
	for _, a := range o.all("setattr") {
		argv = append(argv, "-S"+a)
	}
	var wrap []string
	for _, w := range o.all("wrap") {
		wrap = append(wrap, splitWords(w)...)
	}
	argv = append(append(wrap, argv...), o.Args()...)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 1, err
	}
	return 1, syscall.Exec(path, argv, os.Environ())
}

func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}

// brokerCommand implements flux broker.
func brokerCommand(o options) (int, error) {
	b, attrs, err := newBroker(o)
	if err != nil {
		return 1, err
	}
	return b.run(attrs)
}

// newBroker reads and checks the input of a broker.
func newBroker(o options) (*broker, attributes, error) {
	attrs, err := parseAttributes(o.all("setattr"))
	if err != nil {
		return nil, nil, err
	}
	if attrs["hostname"] == "" {
		if attrs["hostname"], err = os.Hostname(); err != nil {
			return nil, nil, err
		}
	}
	b := &broker{owner: uint32(os.Getuid()), program: o.Args(), signals: make(chan os.Signal, 8), peers: map[uint32]*peer{}}
	if b.conf, err = readConfig(o.last("config-path"), attrs["hostname"], attrs); err != nil {
		return nil, nil, err
	}
	if len(b.conf.hosts) == 0 {
		b.conf.hosts = []host{{Name: attrs["hostname"]}}
	}
	b.rank = max(0, slices.IndexFunc(b.conf.hosts, func(h host) bool { return h.Name == attrs["hostname"] }))
	attrs["rank"], attrs["size"], attrs["version"] = strconv.Itoa(b.rank), strconv.Itoa(len(b.conf.hosts)), version
	if b.rank != 0 {
		attrs["tbon.parent-endpoint"] = b.conf.hosts[0].Connect
	}
	b.log = newLogger(b.rank, attrs)
	if b.conf.certificate != "" {
		if b.proof, err = checkCertificate(b.conf.certificate, b.rank == 0); err != nil {
			return nil, nil, err
		}
	}
	return b, attrs, b.makeDirectories(attrs)
}

// makeDirectories creates the run directory and, for the lead, the state directory.
func (b *broker) makeDirectories(attrs attributes) error {
	names := []string{"rundir"}
	if b.rank == 0 {
		names = append(names, "statedir")
	}
	for _, name := range names {
		dir := attrs[name]
		if dir == "" {
			made, err := os.MkdirTemp("", "flux-")
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			attrs[name] = made
			b.made = append(b.made, made)
			continue
		}
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil:
			b.made = append(b.made, dir)
		case !errors.Is(err, os.ErrExist):
			return fmt.Errorf("%s: %w", name, err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case ok && stat.Uid != b.owner:
			return fmt.Errorf("%s %s is not owned by instance owner", name, dir)
		case !info.IsDir():
			return fmt.Errorf("%s %s: %w", name, dir, syscall.ENOTDIR)
		case info.Mode()&0o700 != 0o700:
			return fmt.Errorf("%s %s does not have owner=rwx permissions", name, dir)
		}
	}
	attrs["local-uri"] = cmp.Or(attrs["local-uri"], "local://"+filepath.Join(attrs["rundir"], "local-"+attrs["rank"]))
	return nil
}

// run runs a broker until it ends, and returns its exit code.
func (b *broker) run(attrs attributes) (int, error) {
	defer func() {
		for _, dir := range b.made {
			_ = os.RemoveAll(dir) // errors of the removal are ignored
		}
	}()
	signal.Notify(b.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	state := fluxtest.State{Attrs: attrs, Broker: flux.StateJoin, Since: time.Now()}
	if b.rank == 0 {
		if err := b.loadState(&state); err != nil {
			return 1, err
		}
	}
	local, err := listenLocal(attrs["local-uri"])
	if err != nil {
		return 1, err
	}
	b.Instance = fluxtest.Serve(local, state, false)
	b.Raise = b.raise
	b.offer()
	b.Intercept(b.route)
	b.Admit(b.admit)
	if err := os.Chmod(b.Path(), 0o777); err != nil {
		return 1, fmt.Errorf("local-uri: %w", err)
	}
	if b.rank != 0 {
		return b.follow()
	}
	if err := b.restore(); err != nil {
		return 1, err
	}
	return b.lead()
}

// listenLocal opens the broker's local socket.
func listenLocal(uri string) (*fluxtest.Broker, error) {
	path, ok := strings.CutPrefix(uri, "local://")
	if !ok {
		return nil, fmt.Errorf("local-uri %s: must begin with local://", uri)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local-uri: %w", err)
	}
	local, err := fluxtest.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("local-uri: %w", err)
	}
	return local, nil
}

// admit admits owners, and guests if the configuration permits them.
func (b *broker) admit(uid uint32) (roles uint32, errno syscall.Errno) {
	switch {
	case uid == b.owner, uid == 0 && b.conf.access.AllowRoot:
		return fluxtest.RoleOwner, 0
	case b.conf.access.AllowGuest:
		return fluxtest.RoleUser, 0
	default:
		return 0, syscall.EPERM
	}
}

// route answers or forwards requests for other brokers or missing services, and reports whether it did.
func (b *broker) route(r *fluxtest.Request) bool {
	service, _, _ := strings.Cut(r.Topic, ".")
	everywhere := slices.Contains([]string{"attr", "state-machine", "overlay"}, service)
	switch node := r.Node(); {
	case b.isStranger(r):
		return true // no answer
	case node != flux.AnyNode && int(node) >= len(b.conf.hosts):
		r.Error(syscall.EHOSTUNREACH, fmt.Sprintf("no rank %d", node))
	case b.rank == 0 && node != flux.AnyNode && node != flux.Leader:
		r.Error(syscall.EHOSTUNREACH, "No route to host") // requests to followers through the lead are not supported
	case b.rank == 0, everywhere && (node == flux.AnyNode || node == flux.Node(b.rank)):
		return false
	case service == "resource" && (node == flux.AnyNode || node == flux.Node(b.rank)):
		r.Error(syscall.EPROTO, "this RPC only works on rank 0") // every broker loads the module
	case node == flux.Node(b.rank):
		r.Error(syscall.ENOSYS, fmt.Sprintf("No service matching %s is registered", r.Topic))
	default:
		b.forward(r)
	}
	return true
}

// enter changes the state of the broker, and informs followers.
func (b *broker) enter(state string) {
	b.Update(func() {
		b.log.info("%s->%s", b.State.Broker, state)
		b.State.Broker, b.State.Since = state, time.Now()
	})
}

// waitFor waits for a condition for as long as a broker attribute says, by default without limit. It reports whether
// the condition was met.
func (b *broker) waitFor(attribute string, condition func() bool) bool {
	stop := make(chan struct{})
	if d, err := parseDuration(b.State.Attrs[attribute]); err == nil {
		defer time.AfterFunc(d, func() { close(stop) }).Stop()
	}
	return b.Wait(stop, condition)
}
