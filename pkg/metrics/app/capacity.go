package app

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
	"minicluster.internal/operator/pkg/metrics/capacity"
)

// Flags of the capacity metrics.
const (
	flagReserve   = "capacity-reserve"
	flagNodePools = "capacity-node-pools"
)

func (o *Options) addCapacityFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.CapacityReserve, flagReserve, o.CapacityReserve,
		"Resources to keep free by MiniClusters that set no reserve, such as 30 (cores), 15% or cpu=30,memory=10%.")
	fs.StringArrayVar(&o.CapacityNodePools, flagNodePools, o.CapacityNodePools,
		"Node pool with separate capacity metrics at /metrics: NAME=SELECTOR, with a label selector. Can be repeated.")
}

// capacity parses the flags of the capacity metrics.
func (o *Options) capacity() (capacity.Options, error) {
	left, err := reserve.Parse(o.CapacityReserve)
	if err != nil {
		return capacity.Options{}, fmt.Errorf("--%s: %w", flagReserve, err)
	}
	pools := map[string]labels.Selector{}
	for _, pool := range o.CapacityNodePools {
		name, text, _ := strings.Cut(pool, "=")
		selector, err := labels.Parse(text)
		problems := validation.IsDNS1123Label(name)
		switch {
		case err != nil:
			return capacity.Options{}, fmt.Errorf("--%s: %q: %w", flagNodePools, pool, err)
		case len(problems) > 0:
			return capacity.Options{}, fmt.Errorf("--%s: %q: the name %q: %s", flagNodePools, pool, name, problems[0])
		case selector.Empty(), name == capacity.AllNodes:
			return capacity.Options{}, fmt.Errorf("--%s: %q: must be NAME=SELECTOR, and the name %s is reserved for all nodes", flagNodePools, pool, capacity.AllNodes)
		case pools[name] != nil:
			return capacity.Options{}, fmt.Errorf("--%s: %q: duplicate name %s", flagNodePools, pool, name)
		}
		pools[name] = selector
	}
	return capacity.Options{Reserve: left, Pools: pools}, nil
}
