package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
)

func TestCapacityOptions(t *testing.T) {
	o := NewOptions()
	o.CapacityReserve = "cpu=15%"
	o.CapacityNodePools = []string{"gpu=nvidia.com/gpu.present=true", "batch=pool in (a,b),!old"}
	got, err := o.capacity()
	require.NoError(t, err)
	assert.Equal(t, reserve.Reserve{"cpu": {Percent: 15_000}}, got.Reserve)
	require.Len(t, got.Pools, 2)
	assert.True(t, got.Pools["batch"].Matches(labels.Set{"pool": "b"}))

	for want, set := range map[string]func(*Options){
		`--capacity-reserve: "-1" is negative: use 0 or more`:                                                 func(o *Options) { o.CapacityReserve = "-1" },
		`--capacity-node-pools: "gpu": must be NAME=SELECTOR, and the name all is reserved for all nodes`:     func(o *Options) { o.CapacityNodePools = []string{"gpu"} },
		`--capacity-node-pools: "all=a=b": must be NAME=SELECTOR, and the name all is reserved for all nodes`: func(o *Options) { o.CapacityNodePools = []string{"all=a=b"} },
		`--capacity-node-pools: "a=x=1": duplicate name a`:                                                    func(o *Options) { o.CapacityNodePools = []string{"a=y", "a=x=1"} },
		`--capacity-node-pools: "A=x": the name "A": a lowercase RFC 1123 label must consist of lower`:        func(o *Options) { o.CapacityNodePools = []string{"A=x"} },
		`--capacity-node-pools: "a=x in": `:                                                                   func(o *Options) { o.CapacityNodePools = []string{"a=x in"} },
	} {
		o := NewOptions()
		set(o)
		assert.ErrorContains(t, o.Validate(), want)
	}
}
