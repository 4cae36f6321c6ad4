package shippedqueries

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	metrics, err := Metrics(root)
	require.NoError(t, err)
	for name, want := range map[string]Metric{
		"minicluster_sync_duration_seconds":     {"histogram", []string{"result"}},
		"minicluster_scale_requests_total":      {"counter", []string{"result"}},
		"rest_client_requests_total":            {"counter", []string{"code", "host", "method"}},
		"flux_jobs":                             {"gauge", []string{"state"}},
		"flux_cores_up":                         {"gauge", nil},
		"minicluster_metrics_collections_total": {"counter", []string{"result"}},
		"minicluster_nodes_remaining":           {"gauge", []string{"nodes", "resource", "unit"}},
	} {
		assert.Equal(t, want, metrics[name], name)
	}
	assert.NotContains(t, metrics, "cpu_remaining", "that is one of the metrics API")

	_, err = Metrics(t.TempDir())
	require.ErrorContains(t, err, "reading the documented metrics")
}

func TestQueries(t *testing.T) {
	t.Parallel()
	queries, err := DashboardQueries([]byte(`{
		"panels": [
			{"title": "A", "targets": [{"expr": "sum(a{namespace=~\"$namespace\", minicluster=~\"$minicluster\"})", "legendFormat": "{{x}}"}]},
			{"title": "row", "panels": [{"title": "B", "targets": [{"expr": "rate(b[$__rate_interval])"}]}]}
		],
		"templating": {"list": [
			{"name": "datasource", "type": "datasource", "query": "prometheus"},
			{"name": "namespace", "type": "query", "query": {"query": "label_values(up{a=\"b\"}, namespace)"}}
		]}}`))
	require.NoError(t, err)
	require.Equal(t, []Query{
		{Where: "panel A", Text: `sum(a{namespace=~"$namespace", minicluster=~"$minicluster"})`, Legend: "{{x}}"},
		{Where: "panel B", Text: "rate(b[$__rate_interval])"},
		{Where: "variable namespace", Text: `count by (namespace) (up{a="b"})`},
	}, queries)
	assert.Equal(t, `sum(a{namespace=~"x", minicluster=~".*"})`, queries[0].Expand("x", ".*", "1m"))
	assert.Equal(t, `rate(b[1m])`, queries[1].Expand("x", ".*", "1m"))

	_, err = DashboardQueries([]byte(`{"templating": {"list": [{"name": "n", "type": "query", "query": {"query": "metrics(x)"}}]}}`))
	require.ErrorContains(t, err, `variable n of the dashboard: "metrics(x)" is not label_values`)

	rules := []byte("spec: {groups: [{name: g, rules: [{record: r, expr: a}, {alert: A, expr: b}]}]}")
	queries, err = RuleQueries(rules)
	require.NoError(t, err)
	assert.Equal(t, []Query{{Where: "rule r", Text: "a", Record: "r"}, {Where: "rule A", Text: "b", Alert: "A"}}, queries)
	groups, err := RuleGroups(rules)
	require.NoError(t, err)
	assert.Equal(t, "groups:\n- name: g\n  rules:\n  - expr: a\n    record: r\n  - alert: A\n    expr: b\n", string(groups))
}
