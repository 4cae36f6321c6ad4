package flux_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

const fourNodes = `{"version":1,"execution":{"R_lite":[
	{"rank":"0-2","children":{"core":"0-3"}},
	{"rank":"3","children":{"core":"0-1","gpu":"0-1"}}],
	"starttime":0.0,"expiration":0.0,"nodelist":["flux-sample-[0-3]"],"properties":{"x":"0"}}}`

func resources(t testing.TB, text string) flux.Resources {
	t.Helper()
	var r flux.Resources
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	return r
}

func TestResources(t *testing.T) {
	r := resources(t, fourNodes)
	assert.Equal(t, flux.Totals{Nodes: 4, Cores: 14, GPUs: 2}, r.Totals())
	assert.Equal(t, "0-3", r.Ranks().String())
	assert.Equal(t, []string{"flux-sample-[0-3]"}, r.Hosts)
	assert.Equal(t, map[string]flux.IDSet{"x": flux.IDs(0)}, r.Properties)

	node, ok := r.Node(3)
	assert.True(t, ok)
	assert.Equal(t, "0-1", node.GPUs.String())
	_, ok = r.Node(4)
	assert.False(t, ok)

	assert.Equal(t, flux.Totals{Nodes: 2, Cores: 6, GPUs: 2}, r.On(ids(t, "1,3,9")).Totals())

	taken := resources(t, `{"version":1,"execution":{"R_lite":[
		{"rank":"0","children":{"core":"0-3"}},
		{"rank":"2","children":{"core":"1"}},
		{"rank":"3","children":{"core":"0-1","gpu":"1"}}]}}`)
	free := r.Without(taken)
	assert.Equal(t, "1-3", free.Ranks().String(), "a node with a remaining GPU stays")
	assert.Equal(t, flux.Totals{Nodes: 3, Cores: 7, GPUs: 1}, free.Totals())
	assert.Equal(t, flux.Totals{Nodes: 4, Cores: 14, GPUs: 2}, r.Totals(), "r is not modified")
}

func TestResourcesEmpty(t *testing.T) {
	for _, text := range []string{
		`null`, `{}`, `{"version":1,"execution":{"R_lite":null,"starttime":0.0,"expiration":0.0,"nodelist":[]}}`,
		`{"version":1,"execution":{"R_lite":[{"rank":"","children":{"core":""}}]}}`,
	} {
		assert.Equal(t, flux.Totals{}, resources(t, text).Totals(), text)
	}
}

func TestResourcesOfOneRankTwice(t *testing.T) {
	r := resources(t, `{"version":1,"execution":{"R_lite":[
		{"rank":"1","children":{"core":"0"}},{"rank":"0-1","children":{"core":"1"}}]}}`)
	assert.Equal(t, flux.Totals{Nodes: 2, Cores: 3}, r.Totals())
}

func TestResourcesRefused(t *testing.T) {
	for name, text := range map[string]string{
		"too many nodes":       `{"version":1,"execution":{"R_lite":[{"rank":"0-2147483647","children":{"core":"0"}}]}}`,
		"other version":        `{"version":2}`,
		"rank is not an idset": `{"version":1,"execution":{"R_lite":[{"rank":"x"}]}}`,
		"no JSON":              `{`,
	} {
		t.Run(name, func(t *testing.T) {
			var r flux.Resources
			require.Error(t, json.Unmarshal([]byte(text), &r))
		})
	}
}

func FuzzResources(f *testing.F) {
	f.Add([]byte(fourNodes))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"version":1,"execution":{"R_lite":[{"rank":"0-9","children":{"core":"0-2147483647"}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r flux.Resources
		if json.Unmarshal(data, &r) != nil {
			return
		}
		require.LessOrEqual(t, r.Totals().Nodes, flux.MaxNodes)
		require.Equal(t, r.Totals().Nodes, r.Ranks().Count(), "each rank once")
		require.Empty(t, r.Without(r).Nodes)
		require.Equal(t, r.Totals(), r.On(r.Ranks()).Totals())
	})
}
