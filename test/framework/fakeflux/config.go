package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"minicluster.internal/operator/pkg/fluxconfig"
)

// config is what the broker makes of its configuration, flux-config(5).
type config struct {
	allowGuest, allowRoot bool
	hosts                 []host // none without [bootstrap]
	certificate           string
	resourcePath          string
	noVerify              bool
	exclude               string
	heartbeat             time.Duration
	heartbeatTimeout      time.Duration
	torpidAfter           time.Duration
	userTimeout           time.Duration // TCP_USER_TIMEOUT of followers' connections
	connectTimeout        time.Duration
	checkpoint            time.Duration // 0: only at the end
	queues                []string
}

// host is a broker of the instance: its rank is its place in the list.
type host struct {
	name, bind, connect string
}

// table is a table of a TOML file. Its methods take values out and remember the
// first that has the wrong type; what stays is unknown.
type table struct {
	name   string
	values map[string]any
	err    error
}

func (t *table) take(key string) any {
	v := t.values[key]
	delete(t.values, key)
	return v
}

func takeAs[T any](t *table, key string, otherwise T) T {
	v := t.take(key)
	if v == nil {
		return otherwise
	}
	got, ok := v.(T)
	if !ok && t.err == nil {
		t.err = fmt.Errorf("config file error [%s]: %s has the wrong type (%T)", t.name, key, v)
	}
	return got
}

func (t *table) duration(key string, otherwise time.Duration) time.Duration {
	v := t.take(key)
	switch v := v.(type) {
	case nil:
		return otherwise
	case string:
		d, err := parseDuration(v)
		if err == nil {
			return d
		}
	}
	if t.err == nil {
		t.err = fmt.Errorf("config file error [%s]: %s is not a duration: %v", t.name, key, v)
	}
	return otherwise
}

// parseDuration reads a Flux standard duration; for ever is a long time.
func parseDuration(text string) (time.Duration, error) {
	seconds, err := fluxconfig.ParseDuration(text)
	return time.Duration(min(seconds, 1e9) * float64(time.Second)), err
}

// done tells what was wrong, an unknown key too: it is fatal in some tables.
func (t *table) done() error {
	if t.err == nil && len(t.values) > 0 {
		return fmt.Errorf("config file error [%s]: unknown key %s", t.name, slices.Sorted(maps.Keys(t.values))[0])
	}
	return t.err
}

// readConfig reads a file or all *.toml of a directory.
func readConfig(path, hostname string, a attributes) (config, error) {
	root := table{values: map[string]any{}}
	files := []string{}
	if path != "" {
		files = append(files, path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(path, "*.toml"))
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return config{}, fmt.Errorf("config file error: %w", err)
		}
		if err := toml.Unmarshal(text, &root.values); err != nil {
			return config{}, fmt.Errorf("config file error: %s: %w", file, err)
		}
	}
	c := config{}
	sub := func(name string) *table { return &table{name: name, values: takeAs(&root, name, map[string]any{})} }
	_, bootstrapped := root.values["bootstrap"]
	access, resource, bootstrap := sub("access"), sub("resource"), sub("bootstrap")
	tbon, heartbeat, kvs, queues := sub("tbon"), sub("heartbeat"), sub("kvs"), sub("queues")

	c.allowGuest = takeAs(access, "allow-guest-user", false)
	c.allowRoot = takeAs(access, "allow-root-owner", false)

	c.resourcePath = takeAs(resource, "path", "")
	c.noVerify = takeAs(resource, "noverify", false)
	c.exclude = takeAs(resource, "exclude", "")
	for _, known := range []string{"config", "scheduling", "norestrict", "no-update-watch", "rediscover", "verify", "journal-max"} {
		resource.take(known)
	}

	c.heartbeat = heartbeat.duration("period", 2*time.Second)
	c.heartbeatTimeout = heartbeat.duration("timeout", 5*time.Minute)
	c.torpidAfter = tbon.duration("torpid_max", 30*time.Second)
	c.userTimeout = tbon.duration("tcp_user_timeout", 20*time.Second)
	c.connectTimeout = tbon.duration("connect_timeout", 30*time.Second)
	if text, ok := a["tbon.connect_timeout"]; ok {
		d, err := parseDuration(text)
		if err != nil {
			return config{}, fmt.Errorf("tbon.connect_timeout: %w", err)
		}
		c.connectTimeout = d
	}
	c.checkpoint = kvs.duration("checkpoint-period", 0)
	c.queues = slices.Sorted(maps.Keys(queues.values))

	var err error
	if bootstrapped {
		err = c.readBootstrap(bootstrap, hostname)
	}
	return c, errors.Join(err, root.err, access.done(), resource.done(), heartbeat.err, tbon.err, kvs.err)
}

// readBootstrap reads [bootstrap], in which the real broker is strict.
func (c *config) readBootstrap(t *table, hostname string) error {
	c.certificate = takeAs(t, "curve_cert", "")
	port := takeAs(t, "default_port", int64(-1))
	bind, connect := takeAs(t, "default_bind", ""), takeAs(t, "default_connect", "")
	takeAs(t, "enable_ipv6", false)
	entries := takeAs(t, "hosts", []any{})
	if err := t.done(); err != nil {
		return err
	}
	if port < -1 || port > 65535 {
		return fmt.Errorf("config file error [bootstrap]: default_port %d is not one", port)
	}
	place := map[string]int{}
	for i, entry := range entries {
		values, _ := entry.(map[string]any)
		e := table{name: fmt.Sprintf("bootstrap.hosts[%d]", i), values: values}
		h := host{name: takeAs(&e, "host", ""), bind: takeAs(&e, "bind", ""), connect: takeAs(&e, "connect", "")}
		takeAs(&e, "parent", "")
		if err := e.done(); err != nil {
			return err
		}
		list, err := fluxconfig.ParseHostlist(h.name)
		if err != nil {
			return fmt.Errorf("config file error [bootstrap]: invalid hosts[%d]: %w", i, err)
		}
		for _, name := range list.All() {
			if j, ok := place[name]; ok { // the first entry that says something counts
				c.hosts[j].bind = either(c.hosts[j].bind, h.bind)
				c.hosts[j].connect = either(c.hosts[j].connect, h.connect)
				continue
			}
			place[name] = len(c.hosts)
			c.hosts = append(c.hosts, host{name: name, bind: h.bind, connect: h.connect})
		}
	}
	for i := range c.hosts {
		h := &c.hosts[i]
		if err := checkDomain(h.name); err != nil {
			return fmt.Errorf("config file error [bootstrap]: invalid hosts[%d]: %w", i, err)
		}
		fill := strings.NewReplacer("%h", h.name, "%p", fmt.Sprint(port), "%%", "%")
		h.bind = fill.Replace(either(h.bind, bind))
		h.connect = fill.Replace(either(h.connect, connect))
		if err := errors.Join(checkURI(h.bind), checkURI(h.connect)); err != nil {
			return fmt.Errorf("config file error [bootstrap]: invalid hosts[%d]: %w", i, err)
		}
	}
	if len(c.hosts) == 0 {
		c.hosts = []host{{name: hostname}}
	} else if _, ok := place[hostname]; !ok {
		return fmt.Errorf("config file error [bootstrap]: %s not found in hosts", hostname)
	}
	if len(c.hosts) > 1 && c.certificate == "" {
		return errors.New("config file error [bootstrap]: more than one host and no curve_cert")
	}
	return nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// checkDomain is for names of hosts, RFC 1035.
func checkDomain(name string) error {
	label := regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
	if len(name) == 0 || len(name) > 253 {
		return fmt.Errorf("%q has not 1 to 253 characters", name)
	}
	for part := range strings.SplitSeq(name, ".") {
		if part != "" && !label.MatchString(part) {
			return fmt.Errorf("%s: invalid domain label %q", name, part)
		}
	}
	return nil
}

func checkURI(uri string) error {
	switch rest, tcp := strings.CutPrefix(uri, "tcp://"); {
	case uri == "":
		return nil
	case !tcp:
		return fmt.Errorf("%s: only tcp:// is known", uri)
	case rest == "" || strings.Contains(rest, ":*"):
		return fmt.Errorf("%s: no usable address", uri)
	}
	return nil
}
