package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"minicluster.internal/operator/pkg/fluxconfig"
)

// config is the parsed configuration of a broker, flux-config(5).
type config struct {
	access struct {
		AllowGuest bool `toml:"allow-guest-user"`
		AllowRoot  bool `toml:"allow-root-owner"`
	}
	resource struct {
		Path     string `toml:"path"`
		NoVerify bool   `toml:"noverify"`
		Exclude  string `toml:"exclude"`
		// These are accepted and not used.
		Config      any `toml:"config"`
		Scheduling  any `toml:"scheduling"`
		NoRestrict  any `toml:"norestrict"`
		NoWatch     any `toml:"no-update-watch"`
		Rediscover  any `toml:"rediscover"`
		Verify      any `toml:"verify"`
		JournalSize any `toml:"journal-max"`
	}
	heartbeat struct {
		Period  duration `toml:"period"`
		Timeout duration `toml:"timeout"`
	}
	tbon struct {
		TorpidMax      duration `toml:"torpid_max"`
		UserTimeout    duration `toml:"tcp_user_timeout"` // of followers' connections
		ConnectTimeout duration `toml:"connect_timeout"`
	}
	kvs struct {
		Checkpoint duration `toml:"checkpoint-period"` // 0: only at the end
	}
	certificate string
	hosts       []host // none without [bootstrap]
	queues      []string
}

// bootstrap is the table of the brokers.
type bootstrap struct {
	Certificate string `toml:"curve_cert"`
	Port        *int64 `toml:"default_port"`
	Bind        string `toml:"default_bind"`
	Connect     string `toml:"default_connect"`
	IPv6        bool   `toml:"enable_ipv6"`
	Hosts       []host `toml:"hosts"`
}

// host is a broker of the instance: its rank is its position in the list.
type host struct {
	Name    string `toml:"host"`
	Bind    string `toml:"bind"`
	Connect string `toml:"connect"`
	Parent  string `toml:"parent"`
}

// duration is a Flux standard duration.
type duration struct{ time.Duration }

// UnmarshalText parses a duration. An infinite one becomes a long time.
func (d *duration) UnmarshalText(text []byte) error {
	seconds, err := fluxconfig.ParseDuration(string(text))
	d.Duration = time.Duration(min(seconds, 1e9) * float64(time.Second))
	return err
}

func parseDuration(text string) (time.Duration, error) {
	var d duration
	err := d.UnmarshalText([]byte(text))
	return d.Duration, err
}

// readConfig reads a file or all *.toml files of a directory.
func readConfig(path, hostname string, a attributes) (config, error) {
	files := []string{}
	if path != "" {
		files = append(files, path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(path, "*.toml"))
		}
	}
	tables := map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return config{}, fmt.Errorf("config file error: %w", err)
		}
		if err := toml.Unmarshal(text, &tables); err != nil {
			return config{}, fmt.Errorf("config file error: %s: %w", file, err)
		}
	}
	var c config
	c.heartbeat.Period, c.heartbeat.Timeout = duration{2 * time.Second}, duration{5 * time.Minute}
	c.tbon.TorpidMax, c.tbon.UserTimeout, c.tbon.ConnectTimeout = duration{30 * time.Second}, duration{20 * time.Second}, duration{30 * time.Second}
	var boot bootstrap
	queues := map[string]any{}
	// The real broker rejects unknown keys in these tables.
	err := errors.Join(
		readTable(tables, "access", true, &c.access), readTable(tables, "resource", true, &c.resource),
		readTable(tables, "bootstrap", true, &boot), readTable(tables, "heartbeat", false, &c.heartbeat),
		readTable(tables, "tbon", false, &c.tbon), readTable(tables, "kvs", false, &c.kvs), readTable(tables, "queues", false, &queues),
	)
	if text, ok := a["tbon.connect_timeout"]; ok && err == nil {
		if err = c.tbon.ConnectTimeout.UnmarshalText([]byte(text)); err != nil {
			err = fmt.Errorf("tbon.connect_timeout: %w", err)
		}
	}
	c.queues = slices.Sorted(maps.Keys(queues))
	if _, ok := tables["bootstrap"]; ok && err == nil {
		if err = c.setHosts(boot, hostname); err != nil {
			err = fmt.Errorf("config file error [bootstrap]: %w", err)
		}
	}
	return c, err
}

// readTable decodes a table, and keeps the default if the table does not exist.
func readTable(tables map[string]any, name string, strict bool, into any) error {
	table, ok := tables[name]
	if !ok {
		return nil
	}
	text, err := toml.Marshal(table)
	decoder := toml.NewDecoder(bytes.NewReader(text))
	if strict {
		decoder.DisallowUnknownFields()
	}
	err = cmp.Or(err, decoder.Decode(into))
	var detailed interface{ String() string }
	if errors.As(err, &detailed) { // it contains the invalid line
		return fmt.Errorf("config file error [%s]: %w\n%s", name, err, detailed.String())
	}
	if err != nil {
		return fmt.Errorf("config file error [%s]: %w", name, err)
	}
	return nil
}

// setHosts sets the list of brokers, as strictly as the real broker.
func (c *config) setHosts(boot bootstrap, hostname string) error {
	port := int64(-1)
	if boot.Port != nil {
		port = *boot.Port
	}
	if port < -1 || port > 65535 {
		return fmt.Errorf("default_port %d is not one", port)
	}
	place := map[string]int{}
	for i, entry := range boot.Hosts {
		list, err := fluxconfig.ParseHostlist(entry.Name)
		if err = cmp.Or(err, list.CheckNames()); err != nil {
			return fmt.Errorf("invalid hosts[%d]: %w", i, err)
		}
		for _, name := range list.All() {
			if j, ok := place[name]; ok { // the first entry with a value applies
				c.hosts[j].Bind, c.hosts[j].Connect = cmp.Or(c.hosts[j].Bind, entry.Bind), cmp.Or(c.hosts[j].Connect, entry.Connect)
				continue
			}
			place[name] = len(c.hosts)
			c.hosts = append(c.hosts, host{Name: name, Bind: entry.Bind, Connect: entry.Connect})
		}
	}
	for i := range c.hosts {
		h := &c.hosts[i]
		fill := strings.NewReplacer("%h", h.Name, "%p", fmt.Sprint(port), "%%", "%")
		h.Bind, h.Connect = fill.Replace(cmp.Or(h.Bind, boot.Bind)), fill.Replace(cmp.Or(h.Connect, boot.Connect))
		if err := errors.Join(checkURI(h.Bind), checkURI(h.Connect)); err != nil {
			return fmt.Errorf("invalid hosts[%d]: %w", i, err)
		}
	}
	if len(c.hosts) == 0 {
		c.hosts = []host{{Name: hostname}}
	} else if _, ok := place[hostname]; !ok {
		return fmt.Errorf("%s not found in hosts", hostname)
	}
	if c.certificate = boot.Certificate; len(c.hosts) > 1 && c.certificate == "" {
		return errors.New("more than one host and no curve_cert")
	}
	return nil
}

func checkURI(uri string) error {
	switch rest, tcp := strings.CutPrefix(uri, "tcp://"); {
	case uri == "":
		return nil
	case !tcp:
		return fmt.Errorf("%s: only tcp:// is supported", uri)
	case rest == "" || strings.Contains(rest, ":*"):
		return fmt.Errorf("%s: no usable address", uri)
	}
	return nil
}
