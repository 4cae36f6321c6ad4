package flux_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

// jobspecs are resources as flux submit writes them, and the parsed request.
var jobspecs = map[string]struct {
	resources string
	want      flux.Jobspec
}{
	"-n4 -c3": {
		`[{"type":"slot","count":4,"with":[{"type":"core","count":3}],"label":"task"}]`,
		flux.Jobspec{Slots: 4, Cores: 3},
	},
	"-n2 -g1": {
		`[{"type":"slot","count":2,"with":[{"type":"core","count":1},{"type":"gpu","count":1}],"label":"task"}]`,
		flux.Jobspec{Slots: 2, Cores: 1, GPUs: 1},
	},
	"-N2": {
		`[{"type":"node","count":2,"exclusive":true,"with":[{"type":"slot","count":1,"with":[{"type":"core","count":1}],"label":"task"}]}]`,
		flux.Jobspec{Nodes: 2, Exclusive: true, Slots: 1, Cores: 1},
	},
	"-N2 -n4": {
		`[{"type":"node","count":2,"with":[{"type":"slot","count":2,"with":[{"type":"core","count":1}],"label":"task"}]}]`,
		flux.Jobspec{Nodes: 2, Slots: 2, Cores: 1},
	},
	"slots of nodes": {
		`[{"type":"slot","count":3,"with":[{"type":"node","count":2,"with":[{"type":"core","count":4}]}],"label":"task"}]`,
		flux.Jobspec{Nodes: 6, Slots: 1, Cores: 4},
	},
	"a range, and unknown fields": {
		`[{"type":"slot","count":{"min":2,"max":8,"operator":"+","operand":1},"with":[{"type":"core","count":1},{"type":"memory","count":5}]}]`,
		flux.Jobspec{Slots: 2, Cores: 1},
	},
	"ranges as text, and no GPU": {
		`[{"type":"node","count":"2-4","with":[{"type":"slot","count":"3+","with":[{"type":"core","count":"1"},{"type":"gpu","count":0}]}]}]`,
		flux.Jobspec{Nodes: 2, Slots: 3, Cores: 1},
	},
}

func TestJobspec(t *testing.T) {
	for name, test := range jobspecs {
		var got flux.Jobspec
		require.NoError(t, json.Unmarshal([]byte(`{"version":1,"resources":`+test.resources+`}`), &got), name)
		assert.Equal(t, test.want, got, name)
	}
	var got flux.Jobspec
	require.NoError(t, json.Unmarshal([]byte(`{"resources":`+jobspecs["-N2"].resources+`,"attributes":{"system":{
		"duration":0,"queue":"debug","constraints":{"ranks":["5"]}}}}`), &got))
	assert.Equal(t, "debug", got.Queue)
	assert.JSONEq(t, `{"ranks":["5"]}`, got.Requires)

	for text, message := range map[string]string{
		`7`:  "jobspec: ",
		`{}`: "no slots",
		`{"resources":[{"type":"node","count":1}]}`:                       "no slots",
		`{"resources":[{"type":"slot"}]}`:                                 `the count of "slot" is missing or 0`,
		`{"resources":[{"type":"slot","count":0}]}`:                       `the count of "slot" is missing or 0`,
		`{"resources":[{"type":"slot","count":99999999}]}`:                "count 99999999",
		`{"resources":[{"type":"slot","count":"two"}]}`:                   "does not start with a number",
		`{"resources":[{"type":"slot","count":[2]}]}`:                     "neither a number nor a range",
		`{"resources":[{"type":"slot","count":{"max":2}}]}`:               `the count of "slot" is missing or 0`,
		`{"resources":[{"type":"slot","count":1,"with":{"type":"x"}}]}`:   "jobspec: ",
		`{"resources":[{"type":"slot","count":1,"with":[{"count":-1}]}]}`: "count -1",
	} {
		err := json.Unmarshal([]byte(text), &got)
		assert.ErrorContains(t, err, message, text)
	}
	err := json.Unmarshal([]byte(`{"resources":7,"attributes":{"system":{"queue":"debug","constraints":{"ranks":["5"]}}}}`), &got)
	require.ErrorContains(t, err, "jobspec: resources: ")
	assert.Equal(t, flux.Jobspec{Queue: "debug", Requires: `{"ranks":["5"]}`}, got)
}

// FuzzJobspec checks that the numbers of any parsed jobspec can be added up.
func FuzzJobspec(f *testing.F) {
	for _, test := range jobspecs {
		f.Add([]byte(`{"version":1,"resources":` + test.resources + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got flux.Jobspec
		if json.Unmarshal(data, &got) == nil {
			for _, n := range []int{got.Nodes, got.Slots - 1, got.Cores, got.GPUs} {
				assert.True(t, n >= 0 && n <= 1<<48, n)
			}
		}
	})
}
