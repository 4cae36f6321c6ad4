package fluxconfig

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestTBONSettings(t *testing.T) {
	quiet := &v1alpha2.LoggingSpec{}
	debug := &v1alpha2.LoggingSpec{ZeroMQ: true}
	for name, tc := range map[string]struct {
		spec v1alpha2.MiniClusterSpec
		want *TBON
	}{
		"unset":        {v1alpha2.MiniClusterSpec{}, &TBON{ConnectTimeout: "5s"}},
		"switched off": {v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{}, Logging: quiet}, nil},
		"debug":        {v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{}, Logging: debug}, &TBON{ZMQDebug: 1}},
		"topology":     {v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{Topology: "kary:2"}}, &TBON{Topo: "kary:2"}},
		"flat": {v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{
			Topology: "flat", Bursting: &v1alpha2.Bursting{},
		}}, &TBON{Topo: "custom"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := TBONSettings(&tc.spec)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := TBONSettings(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{Topology: "kary:2", Bursting: &v1alpha2.Bursting{}}})
	require.ErrorContains(t, err, "spec.flux.topology: must be flat with bursting")
	_, err = TBONSettings(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{Topology: "binomial", MinimalService: true}})
	require.ErrorContains(t, err, "spec.flux.topology: must be flat with minimalService")
}

func TestTopology(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "flat": "custom", "custom": "custom", "binomial": "binomial",
		"kary:2": "kary:2", "kary:0": "kary:0", "mincrit": "mincrit", "mincrit:3": "mincrit:3",
	} {
		got, err := topology(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
	for in, want := range map[string]string{
		"kary": "needs a number", "kary:": "needs a number", "kary:-1": "needs a number", "kary:two": "needs a number",
		"mincrit:x": "needs a number", "binomial:2": "takes no argument", "flat:": "takes no argument",
		"star": "unknown scheme", ":2": "the scheme is missing", "Kary:2": "unknown scheme",
	} {
		_, err := topology(in)
		require.ErrorContains(t, err, want, in)
	}
}

func TestParseDuration(t *testing.T) {
	// The test vectors of RFC 23, and more.
	for in, want := range map[string]float64{
		"2ms": 0.002, "0.1s": 0.1, "30": 30, "1.2h": 4320, "5m": 300, "0s": 0, "5d": 432000,
		"inf": math.Inf(1), "INF": math.Inf(1), "infinity": math.Inf(1),
		"0": 0, ".5s": 0.5, "5.": 5,
	} {
		got, err := ParseDuration(in)
		require.NoError(t, err, in)
		assert.InDelta(t, want, got, 1e-9, in)
	}
	for _, in := range []string{"", "s", "5 s", "-1s", "5x", "5S", "5sm", "infs", "nan", "0x10", "1e3", "1_0", "+5", "1.2.3", ".", "5s\n"} {
		_, err := ParseDuration(in)
		require.Error(t, err, in)
	}
}
