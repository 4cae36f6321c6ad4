package promsource

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		text string
		want definition
		err  string
	}{
		{text: "query: up\nobject: pods", want: definition{"up", pods, "m", "namespace", "pod", nil, ""}},
		{text: "{query: up, object: services}", want: definition{"up", services, "m", "namespace", "service", nil, ""}},
		{text: "query: up\nobject: miniclusters\nmetric: other", want: definition{"up", miniClusters, "other", "namespace", "minicluster", nil, ""}},
		{text: "query: up\nobject: external", want: definition{"up", external, "m", "", "", nil, ""}},
		{text: "query: up\nobject: external\nnamespaceLabel: ns", want: definition{"up", external, "m", "ns", "", nil, ""}},
		{text: "query: up\nobject: pods\nnamespaceLabel: ns\nnameLabel: kubernetes_pod_name", want: definition{"up", pods, "m", "ns", "kubernetes_pod_name", nil, ""}},
		{text: "---\n# of what\nquery: |\n  sum by (namespace, pod) (\n    up)\nobject: pods", want: definition{"sum by (namespace, pod) (\n  up)\n", pods, "m", "namespace", "pod", nil, ""}},

		{text: "", err: "query: must be set"},
		{text: "up", err: "must be a YAML document with the fields query and object"},
		{text: "query: [", err: "must be a YAML document with the fields query and object"},
		{text: "object: pods", err: "query: must be set"},
		{text: "query: ' '\nobject: pods", err: "query: must be set"},
		{text: "query: up", err: `object: "": must be one of ["pods" "services" "miniclusters" "external"]`},
		{text: "query: up\nobject: nodes", err: `object: "nodes": must be one of`},
		{text: "query: up\nObject: pods", err: `unknown field "Object"`},
		{text: "query: up\nquery: down\nobject: pods", err: `key "query" already set`},
		{text: "query: up\nobject: pods\ninterval: 5s", err: `unknown field "interval"`},
		{text: "query: up\nobject: pods\n---\nquery: down", err: "must be a single YAML document"},
		{text: "query: up\nobject: pods\nmetric: a/b", err: `metric: "a/b": may not contain '/'`},
		{text: "query: up\nobject: pods\nmetric: ''", err: "metric: must not be empty"},
		{text: "query: up\nobject: pods\nnameLabel: a-b", err: `nameLabel: "a-b": must be a valid label name`},
		{text: "query: up\nobject: pods\nnamespaceLabel: 'a\"'", err: `namespaceLabel: "a\"": must be a valid label name`},
		{text: "query: up\nobject: pods\nnameLabel: namespace", err: `nameLabel: "namespace": must differ from namespaceLabel`},
		{text: "query: up\nobject: external\nnameLabel: pod", err: "nameLabel: must not be set for external metrics"},
	} {
		got, err := decode("m", tc.text)
		if tc.err == "" {
			require.NoError(t, err, tc.text)
			assert.Equal(t, tc.want, got, tc.text)
		} else {
			require.ErrorContains(t, err, tc.err, tc.text)
			assert.NotContains(t, err.Error(), "\n", "one line: it is logged and shown in conditions")
		}
	}
}

// FuzzDecode checks that an entry is either decoded completely or rejected.
func FuzzDecode(f *testing.F) {
	f.Add("http_requests", "query: sum by (namespace, pod) (rate(http_requests_total[1m]))\nobject: pods")
	f.Add("m", "query: up\nobject: external\nnamespaceLabel: ns\nmetric: other")
	f.Add("m", "&a [*a, *a]")
	f.Add("m", "query: {}\nobject: 1")
	f.Fuzz(func(t *testing.T, name, text string) {
		d, err := decode(name, text)
		if err != nil {
			return
		}
		assert.NotEmpty(t, strings.TrimSpace(d.Query))
		assert.Contains(t, objects(), d.Object)
		assert.NotEmpty(t, d.Metric)
		assert.NotContains(t, d.Metric, "/")
		assert.Equal(t, d.Object == external, d.NameLabel == "")
		if d.Object != external {
			assert.NotEmpty(t, d.NamespaceLabel)
			assert.NotEqual(t, d.NamespaceLabel, d.NameLabel)
		}
	})
}
