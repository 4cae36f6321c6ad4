package serve

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/flux"
)

// cluster has eight nodes with four cores; those of ranks 4 to 7 have two GPUs.
func cluster(t testing.TB) flux.Resources {
	t.Helper()
	r := nodes(t, "0-7", 4)
	for i := range r.Nodes[4:] {
		r.Nodes[4+i].GPUs = flux.IDRange(0, 1)
	}
	r.Hosts = []string{"flux-sample-[0-6]", "other-7"}
	r.Properties = map[string]flux.IDSet{"fast": set(t, "2-5"), "big": set(t, "4-7")}
	return r
}

func TestConstraints(t *testing.T) {
	m := newMatcher(cluster(t))
	for constraint, want := range map[string]string{
		`{}`:                                       "0-7",
		`{"ranks":["5"]}`:                          "5",
		`{"ranks":["0-1","6-9"]}`:                  "0-1,6-7",
		`{"ranks":["9"]}`:                          "",
		`{"ranks":[]}`:                             "",
		`{"hostlist":["flux-sample-[1-2,9]"]}`:     "1-2",
		`{"hostlist":["other-7","nosuch"]}`:        "7",
		`{"hostlist":[]}`:                          "",
		`{"properties":["fast"]}`:                  "2-5",
		`{"properties":["fast","big"]}`:            "4-5",
		`{"properties":["fast","^big"]}`:           "2-3",
		`{"properties":["^fast"]}`:                 "0-1,6-7",
		`{"properties":["nosuch"]}`:                "",
		`{"properties":["^nosuch"]}`:               "0-7",
		`{"properties":["flux-sample-3"]}`:         "3",
		`{"properties":[]}`:                        "0-7",
		`{"and":[]}`:                               "0-7",
		`{"or":[]}`:                                "0-7",
		`{"not":[]}`:                               "",
		`{"not":[{"ranks":["0-3"]}]}`:              "4-7",
		`{"or":[{"ranks":["0"]},{"ranks":["7"]}]}`: "0,7",
		`{"and":[{"properties":["fast"]},{"not":[{"hostlist":["flux-sample-4"]}]}]}`:          "2-3,5",
		`{"not":[{"properties":["fast"]},{"properties":["big"]}]}`:                            "0-3,6-7",
		`{"or":[{"and":[{"properties":["big"]},{"ranks":["7"]}]},{"properties":["nosuch"]}]}`: "7",
	} {
		ranks, err := m.match(json.RawMessage(constraint))
		assert.NoError(t, err, constraint)
		assert.Equal(t, want, ranks.String(), constraint)
	}
	for constraint, message := range map[string]string{
		`7`:                        "constraint: ",
		`{"ranks":["0"],"and":[]}`: "2 operators",
		`{"nosuch":[]}`:            `unknown operator "nosuch"`,
		`{"ranks":["x"]}`:          `"x" is not a number`,
		`{"ranks":"0"}`:            "values of ranks",
		`{"hostlist":["a["]}`:      "host list",
		`{"and":{}}`:               "values of and",
		`{"or":[{"nosuch":[]}]}`:   "nosuch",
	} {
		_, err := m.match(json.RawMessage(constraint))
		assert.ErrorContains(t, err, message, constraint)
	}
}

// Without names that belong to the ranks, no rank has one.
func TestConstraintsWithoutHosts(t *testing.T) {
	for _, hosts := range [][]string{nil, {"a["}, {"flux-sample-[0-99]"}} {
		r := cluster(t)
		r.Hosts = hosts
		ranks, err := newMatcher(r).match(json.RawMessage(`{"hostlist":["flux-sample-[0-3]"]}`))
		assert.NoError(t, err)
		assert.Empty(t, ranks.String())
	}
}

// FuzzConstraint checks that every constraint results in existing ranks or an error.
func FuzzConstraint(f *testing.F) {
	for _, constraint := range []string{
		`{"and":[{"properties":["fast"]},{"not":[{"hostlist":["flux-sample-[4-5]"]}]}]}`, `{"or":[{"ranks":["0-3"]}]}`, `{"not":null}`,
	} {
		f.Add([]byte(constraint))
	}
	m := newMatcher(cluster(f))
	f.Fuzz(func(t *testing.T, constraint []byte) {
		ranks, err := m.match(constraint)
		if err == nil {
			assert.True(t, ranks.Without(m.all).Empty())
		}
	})
}
