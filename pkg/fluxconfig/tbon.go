package fluxconfig

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TBON configures the brokers' network, flux-config-tbon(5). Unknown keys are harmless in the file, as opposed to the
// command line.
type TBON struct {
	Topo           string `toml:"topo,omitempty"`
	ConnectTimeout string `toml:"connect_timeout,omitempty"`
	ZMQDebug       int    `toml:"zmqdebug,omitempty"`
}

// attributes returns the settings as broker attributes.
func (t *TBON) attributes() map[string]string {
	all := map[string]string{}
	for name, value := range map[string]string{"tbon.topo": t.Topo, "tbon.connect_timeout": t.ConnectTimeout} {
		if value != "" {
			all[name] = value
		}
	}
	if t.ZMQDebug != 0 {
		all["tbon.zmqdebug"] = strconv.Itoa(t.ZMQDebug)
	}
	return all
}

// TBONSettings returns the settings of the brokers' network in a spec, nil if there are none. With
// spec.flux.brokerConfig, whose [tbon] table belongs to the user, they must be passed as broker attributes
// (tbon.topo, ...).
func TBONSettings(spec *v1alpha2.MiniClusterSpec) (*TBON, error) {
	t := TBON{ConnectTimeout: v1alpha2.DefaultConnectTimeout}
	if flux := spec.Flux; flux != nil {
		// An empty value of the user selects the default of Flux.
		t.ConnectTimeout = flux.ConnectTimeout
		if t.ConnectTimeout != "" {
			if _, err := ParseDuration(t.ConnectTimeout); err != nil {
				return nil, &FieldError{Field: "spec.flux.connectTimeout", Err: err}
			}
		}
		topo, err := topology(flux.Topology)
		if err != nil {
			return nil, &FieldError{Field: "spec.flux.topology", Err: err}
		}
		if topo != "" && topo != "custom" && flux.Bursting != nil {
			return nil, fieldErrorf("spec.flux.topology", "must be flat with bursting: brokers in another cluster reach the lead broker only")
		}
		if topo != "" && topo != "custom" && flux.MinimalService {
			return nil, fieldErrorf("spec.flux.topology", "must be flat with minimalService: only the lead brokers' pods have host names then")
		}
		t.Topo = topo
	}
	if spec.Logging != nil && spec.Logging.ZeroMQ {
		t.ZMQDebug = 1
	}
	if t == (TBON{}) {
		return nil, nil // no settings
	}
	return &t, nil
}

// topology checks a topology, since brokers do not start with an unknown one. "flat" is not a scheme of Flux, but a
// common name of the tree in which rank 0 is the parent of all others: custom, without parents.
func topology(text string) (string, error) {
	scheme, arg, hasArg := strings.Cut(text, ":")
	switch scheme {
	case "":
		if hasArg {
			return "", errors.New("the scheme is missing")
		}
		return "", nil
	case "flat", "custom", "binomial":
		if hasArg {
			return "", fmt.Errorf("%s takes no argument", scheme)
		}
		if scheme == "flat" {
			return "custom", nil
		}
		return scheme, nil
	case "kary", "mincrit":
		if scheme == "mincrit" && !hasArg {
			return text, nil
		}
		if _, err := strconv.ParseUint(arg, 10, 31); err != nil {
			return "", fmt.Errorf("%s needs a number, for example %s:2", scheme, scheme)
		}
		return text, nil
	default:
		return "", fmt.Errorf("unknown scheme %q: must be flat, kary:N, mincrit:N, binomial or custom", abbreviate(scheme))
	}
}
