package fluxconfig

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Config is a broker.toml, flux-config(5), with the tables that are generated.
type Config struct {
	Access    Access    `toml:"access"`
	Resource  Resource  `toml:"resource"`
	Bootstrap Bootstrap `toml:"bootstrap"`
	TBON      *TBON     `toml:"tbon,omitempty"`
	KVS       *KVS      `toml:"kvs,omitempty"`
	Exec      *Exec     `toml:"exec,omitempty"`
	Archive   *Archive  `toml:"archive,omitempty"`
	Qmanager  *Qmanager `toml:"sched-fluxion-qmanager,omitempty"`
}

// Access configures access to the broker, flux-config-access(5).
type Access struct {
	AllowGuestUser bool `toml:"allow-guest-user"`
	AllowRootOwner bool `toml:"allow-root-owner"`
}

// Resource configures the resources of the instance, flux-config-resource(5). An unknown key in this table is fatal,
// so only keys of Flux 0.49 are written.
type Resource struct {
	Path     string `toml:"path,omitempty"`
	Noverify bool   `toml:"noverify,omitempty"`
}

// Bootstrap configures how the brokers find each other, flux-config-bootstrap(5). An unknown key in this table is
// fatal.
type Bootstrap struct {
	EnableIPv6     bool   `toml:"enable_ipv6,omitempty"`
	CurveCert      string `toml:"curve_cert,omitempty"`
	DefaultPort    int32  `toml:"default_port,omitempty"`
	DefaultBind    string `toml:"default_bind,omitempty"`
	DefaultConnect string `toml:"default_connect,omitempty"`
	Hosts          []Host `toml:"hosts,omitempty"`
}

// Host is an entry of the hosts array: hosts (RFC 29) and their settings. An unknown key in it is fatal.
type Host struct {
	Host    string `toml:"host"`
	Bind    string `toml:"bind,omitempty"`
	Connect string `toml:"connect,omitempty"`
	Parent  string `toml:"parent,omitempty"`
}

// KVS configures the key value store, flux-config-kvs(5).
type KVS struct {
	CheckpointPeriod string `toml:"checkpoint-period,omitempty"`
}

// Exec configures the execution of jobs, flux-config-exec(5).
type Exec struct {
	IMP string `toml:"imp,omitempty"`
}

// Archive configures the database of finished jobs, flux-config-archive(5) of Flux before 0.70. Later versions ignore
// it.
type Archive struct {
	DBPath      string `toml:"dbpath,omitempty"`
	Period      string `toml:"period,omitempty"`
	BusyTimeout string `toml:"busytimeout,omitempty"`
}

// Qmanager configures the queues of Fluxion, flux-config-sched-fluxion-qmanager(5). Other schedulers ignore it.
type Qmanager struct {
	QueuePolicy string `toml:"queue-policy,omitempty"`
}

// Text returns the configuration as TOML.
func (c Config) Text() (string, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return "", fmt.Errorf("write broker.toml: %w", err)
	}
	return b.String(), nil
}

// ParseBrokerTOML parses a broker.toml, for example that of a user (spec.flux.brokerConfig), as far as its keys are
// known here. It rejects files with which no version of Flux starts: invalid TOML, values of the wrong type, and
// unknown keys in [bootstrap] or one of its hosts. Other unknown keys and tables are left to Flux.
func ParseBrokerTOML(text string) (Config, error) {
	var c Config
	if err := decodeTOML(text, &c); err != nil {
		return Config{}, err
	}
	// The strict mode of the decoder is not used, because it does not report which table of an inline table contains the
	// key.
	var tables struct {
		Bootstrap map[string]any `toml:"bootstrap"`
	}
	if err := decodeTOML(text, &tables); err != nil {
		return Config{}, err
	}
	if err := checkBootstrapKeys(tables.Bootstrap); err != nil {
		return Config{}, fmt.Errorf("broker.toml: %w", err)
	}
	return c, nil
}

func decodeTOML(text string, into any) error {
	err := toml.Unmarshal([]byte(text), into)
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &bad):
		line, column := bad.Position()
		return fmt.Errorf("broker.toml, line %d, column %d: %w", line, column, err)
	case err != nil:
		return fmt.Errorf("broker.toml: %w", err)
	}
	return nil
}

// checkBootstrapKeys rejects keys that Flux 0.49 to 0.88 do not have.
func checkBootstrapKeys(table map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		switch key {
		case "curve_cert", "default_port", "default_bind", "default_connect", "enable_ipv6", "hosts":
		default:
			return fmt.Errorf("unknown key %q in [bootstrap]", abbreviate(key))
		}
	}
	hosts, _ := table["hosts"].([]any)
	for i, host := range hosts {
		entry, _ := host.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(entry)) {
			switch key {
			case "host", "bind", "connect", "parent":
			default:
				return fmt.Errorf("unknown key %q in entry %d of [bootstrap] hosts", abbreviate(key), i+1)
			}
		}
	}
	return nil
}
