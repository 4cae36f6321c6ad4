package monitoring

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/shippedqueries"
)

// root of the repository.
var root = filepath.Join("..", "..")

func newTestChecker(t *testing.T) (*checker, []shippedqueries.Query) {
	t.Helper()
	metrics, err := shippedqueries.Metrics(root)
	require.NoError(t, err)
	c := newChecker(metrics)
	queries, err := shippedqueries.Queries(root)
	require.NoError(t, err)
	for _, q := range queries {
		if q.Record != "" {
			require.NoError(t, c.learn(q))
		}
	}
	return c, queries
}

// TestQueries checks that every query in the dashboard and in the rules is valid, and that its metrics and labels
// exist.
func TestQueries(t *testing.T) {
	c, queries := newTestChecker(t)
	assert.Greater(t, len(queries), 50)
	for _, q := range queries {
		assert.NoError(t, c.check(q))
	}
}

// TestCheckComplains checks that invalid queries are found.
func TestCheckComplains(t *testing.T) {
	c, queries := newTestChecker(t)
	for text, want := range map[string]string{
		`sum(flux_nodes_up`:                             "unclosed left parenthesis",
		`flux_node_up`:                                  "metric flux_node_up does not exist",
		`sum(rate(minicluster_drains[5m]))`:             "metric minicluster_drains does not exist",
		`flux_jobs{status="run"}`:                       "flux_jobs has no label status",
		`sum by (state) (flux_nodes_up)`:                "label state does not exist",
		`flux_nodes_up / on (node) flux_nodes`:          "label node does not exist",
		`minicluster_status_condition{minicluster="a"}`: "minicluster_status_condition has no label minicluster",
		`rate(flux_nodes_up[5m])`:                       "rate of the gauge flux_nodes_up",
		`increase(minicluster_status_condition[5m])`:    "increase of the gauge minicluster_status_condition",
		`max_over_time(minicluster_drains_total[5m])`:   "max_over_time of the counter minicluster_drains_total",
		`minicluster_sync_duration_seconds`:             "minicluster_sync_duration_seconds is a histogram",
		`flux_nodes_up_bucket`:                          "metric flux_nodes_up_bucket does not exist",
		`histogram_quantile(0.9, sum by (result) (rate(minicluster_sync_duration_seconds_bucket[5m])))`: "histogram_quantile without the label le",
		`minicluster:sync_errors:ratio_rate5m`:                                                          "metric minicluster:sync_errors:ratio_rate5m does not exist",
		`minicluster:sync_errors:ratio_rate10m{result="done"}`:                                          "has no label result",
	} {
		assert.ErrorContains(t, c.check(shippedqueries.Query{Where: "here", Text: text}), want)
	}
	require.ErrorContains(t, c.check(shippedqueries.Query{Where: "panel Nodes", Text: "sum(flux_nodes_up)", Legend: "{{pod}}"}),
		"panel Nodes: sum(flux_nodes_up): label pod does not exist")

	// If a metric is renamed in a program and in its documentation, all queries that use the old name are found.
	delete(c.metrics, "flux_nodes_up")
	found := 0
	for _, q := range queries {
		if err := c.check(q); err != nil {
			require.ErrorContains(t, err, "metric flux_nodes_up does not exist")
			assert.Contains(t, q.Text, "flux_nodes_up")
			found++
		}
	}
	assert.GreaterOrEqual(t, found, 4)
	for _, q := range queries {
		assert.NotContains(t, q.Text, "$datasource", q.Where)
	}
}
