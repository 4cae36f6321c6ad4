package fluxsource

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestParse parses the golden file of the agent, with the same result as the parser of Prometheus.
func TestParse(t *testing.T) {
	text, err := os.ReadFile("../../agent/serve/testdata/metrics.txt")
	require.NoError(t, err)
	parsed, err := newParser(table()).parse(text)
	require.NoError(t, err)
	assert.False(t, parsed.at.IsZero())
	assert.Equal(t, map[string]float64{"progress": .25, "wanted": 12}, parsed.application)
	general := expfmt.NewTextParser(model.LegacyValidation)
	families, err := general.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err)
	for i, m := range table() {
		assert.False(t, math.IsNaN(parsed.values[i]), "%s: the agent has no %s %s", m.name, m.family, m.state)
		assert.InDelta(t, gauge(families[m.family], m.state), parsed.values[i], 0, m.name)
	}
}

// gauge returns the value of a metric without labels or with one label.
func gauge(family *dto.MetricFamily, label string) float64 {
	for _, m := range family.GetMetric() {
		if label == "" && len(m.GetLabel()) == 0 || label != "" && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
			return m.GetGauge().GetValue()
		}
	}
	return math.NaN()
}

// BenchmarkParse parses the response of one agent.
func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("../../agent/serve/testdata/metrics.txt")
	require.NoError(b, err)
	p := newParser(table())
	for b.Loop() {
		if _, err := p.parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "not from an agent of a lead broker",
		"flux_up 0\n":                        "lead broker does not respond",
		"flux_up{a=\"b\"} 1\n":               "not from an agent of a lead broker",
		"hello, this is not an exposition\n": "parsing the metrics of its agent",
		"flux_up 1\nflux_nodes_up{":          "parsing the metrics of its agent",
	} {
		_, err := newParser(table()).parse([]byte(text))
		assert.ErrorContains(t, err, want, "%q", text)
	}
	parsed, err := newParser(table()).parse([]byte("flux_up 1\nflux_nodes_up 3\n"))
	require.NoError(t, err)
	assert.True(t, parsed.at.IsZero())
	assert.Nil(t, parsed.application)
	assert.InDelta(t, 3, parsed.values[0], 0)
	assert.True(t, math.IsNaN(parsed.values[1]), "an older agent does not have it")
}

// TestParseLimitsApplications checks that an agent cannot provide any number of metrics, or invalid values.
func TestParseLimitsApplications(t *testing.T) {
	text := "flux_up 1\nflux_application_metric{name=\"a\"} NaN\nflux_application_metric{name=\"b\"} -1\nflux_application_metric{name=\"c\"} 1e10\n"
	for i := range 40 {
		text += fmt.Sprintf("flux_application_metric{name=\"m%d\"} %d\n", i, i)
	}
	parsed, err := newParser(table()).parse([]byte(text))
	require.NoError(t, err)
	assert.Len(t, parsed.application, maxApplication)
	for _, name := range []string{"a", "b", "c"} {
		assert.NotContains(t, parsed.application, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("flux_up 1\nflux_jobs{state=\"run\"} 2\nflux_last_update_timestamp_seconds 17e8\n")
	f.Add("# TYPE flux_up counter\nflux_up 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := newParser(table()).parse([]byte(text))
		if err == nil && (len(parsed.values) != len(table()) || len(parsed.application) > maxApplication) {
			t.Fatalf("%+v", parsed)
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range table() {
		assert.False(t, seen[m.name], m.name)
		seen[m.name] = true
	}
}
