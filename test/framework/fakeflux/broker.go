package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// States of a broker, as state-machine.get names them.
const (
	stateJoin     = "join"
	stateInit     = "init"
	stateQuorum   = "quorum"
	stateRun      = "run"
	stateCleanup  = "cleanup"
	stateShutdown = "shutdown"
	stateFinalize = "finalize"
)

// broker is a running one. What is below mu is read and changed with it held;
// whoever waits for a change waits for changed.
type broker struct {
	conf    config
	attrs   attributes
	log     logger
	owner   uint32
	rank    int
	proof   string // of the certificate
	program []string
	signals chan os.Signal
	made    []string // directories to be removed at the end

	mu       sync.Mutex
	changed  chan struct{} // closed and made again by update
	state    string
	since    time.Time
	stopping bool  // shutdown was asked for
	parent   *link // of a follower

	// Only of the lead.
	resources resourceSet
	peers     map[int]*peer
	drained   map[int]drainInfo
	excluded  map[int]bool
	jobs      jobs
}

func startOptions() []option {
	return []option{
		{"setattr", 'S', needsArgument}, {"config-path", 'c', needsArgument}, {"verbose", 'v', mayHaveArgument},
		{"broker-opts", 'o', needsArgument}, {"wrap", 0, needsArgument},
	}
}

// startCommand is flux start: it becomes flux broker.
func startCommand(args []string) (int, error) {
	p, err := parseOptions(args, startOptions(), false)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	argv := []string{self, "broker"}
	for _, o := range p.given["broker-opts"] {
		argv = append(argv, splitWords(o)...)
	}
	if p.has("config-path") {
		argv = append(argv, "--config-path="+p.last("config-path"))
	}
	for _, a := range p.given["setattr"] {
		argv = append(argv, "-S"+a)
	}
	var wrap []string
	for _, w := range p.given["wrap"] {
		wrap = append(wrap, splitWords(w)...)
	}
	argv = append(append(wrap, argv...), p.others...)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 1, err
	}
	return 1, syscall.Exec(path, argv, os.Environ())
}

func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}

// brokerCommand is flux broker.
func brokerCommand(args []string) (int, error) {
	p, err := parseOptions(args, startOptions(), false)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	b, err := newBroker(p)
	if err != nil {
		return 1, err
	}
	return b.run()
}

// newBroker reads and checks everything that a broker needs.
func newBroker(p parsedOptions) (*broker, error) {
	attrs, err := parseAttributes(p.given["setattr"])
	if err != nil {
		return nil, err
	}
	if attrs["hostname"] == "" {
		if attrs["hostname"], err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	b := &broker{
		attrs: attrs, owner: uint32(os.Getuid()), program: p.others,
		changed: make(chan struct{}), state: stateJoin, since: time.Now(), signals: make(chan os.Signal, 8),
		peers: map[int]*peer{}, drained: map[int]drainInfo{}, excluded: map[int]bool{},
	}
	if b.conf, err = readConfig(p.last("config-path"), attrs["hostname"], attrs); err != nil {
		return nil, err
	}
	if len(b.conf.hosts) == 0 {
		b.conf.hosts = []host{{name: attrs["hostname"]}}
	}
	for rank, h := range b.conf.hosts {
		if h.name == attrs["hostname"] {
			b.rank = rank
		}
	}
	attrs["rank"], attrs["size"] = strconv.Itoa(b.rank), strconv.Itoa(len(b.conf.hosts))
	attrs["version"] = version
	if b.rank != 0 {
		attrs["tbon.parent-endpoint"] = b.conf.hosts[0].connect
	}
	b.log = newLogger(b.rank, attrs)
	if b.conf.certificate != "" {
		if b.proof, err = checkCertificate(b.conf.certificate, b.rank == 0); err != nil {
			return nil, err
		}
	}
	if err := b.makeDirectories(); err != nil {
		return nil, err
	}
	if b.rank == 0 {
		err = b.loadLead()
	}
	return b, err
}

// makeDirectories makes the run directory and, of the lead, the state directory.
func (b *broker) makeDirectories() error {
	names := []string{"rundir"}
	if b.rank == 0 {
		names = append(names, "statedir")
	}
	for _, name := range names {
		dir := b.attrs[name]
		if dir == "" {
			made, err := os.MkdirTemp("", "flux-")
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.attrs[name] = made
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
		if ok && stat.Uid != b.owner {
			return fmt.Errorf("%s %s is not owned by instance owner", name, dir)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s %s: %w", name, dir, syscall.ENOTDIR)
		}
		if info.Mode()&0o700 != 0o700 {
			return fmt.Errorf("%s %s does not have owner=rwx permissions", name, dir)
		}
	}
	if b.attrs["local-uri"] == "" {
		b.attrs["local-uri"] = "local://" + filepath.Join(b.attrs["rundir"], "local-"+b.attrs["rank"])
	}
	return nil
}

// run is the life of a broker.
func (b *broker) run() (int, error) {
	signal.Notify(b.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	local, err := listenLocal(b.attrs["local-uri"])
	if err != nil {
		return 1, err
	}
	defer func() {
		_ = local.Close() // nobody connects any more
		for _, dir := range b.made {
			_ = os.RemoveAll(dir) // what cannot be removed stays
		}
	}()
	go b.serveLocal(local)
	if b.rank == 0 {
		return b.lead()
	}
	return b.follow()
}

// update changes what mu protects.
func (b *broker) update(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits for a condition: it tells whether it came true before stop.
func (b *broker) until(stop <-chan struct{}, condition func() bool) bool {
	for {
		b.mu.Lock()
		met, changed := condition(), b.changed
		b.mu.Unlock()
		if met {
			return true
		}
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}

// enter goes on to the next state, and tells the followers.
func (b *broker) enter(state string) {
	b.update(func() {
		b.log.info("%s->%s", b.state, state)
		b.state, b.since = state, time.Now()
		for _, p := range b.peers {
			if p.link != nil {
				go func() { _ = p.link.send(note{Kind: "state", State: state}) }() // a lost one is seen by its reader
			}
		}
	})
}

// timeout is a broker attribute that is a duration, which is infinite by default.
func (b *broker) timeout(name string) <-chan time.Time {
	d, err := parseDuration(b.attrs[name])
	if err != nil {
		return nil
	}
	return time.After(d)
}
