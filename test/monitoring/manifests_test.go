package monitoring

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/test/framework/promserver"
	"minicluster.internal/operator/test/framework/shippedqueries"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	require.NoError(t, err)
	return text
}

// decode parses a document of the Prometheus Operator strictly.
func decode[T any](t *testing.T, file, kind string) *T {
	t.Helper()
	var object struct {
		metav1.TypeMeta `json:",inline"`
	}
	text := read(t, file)
	require.NoError(t, yaml.Unmarshal(text, &object))
	assert.Equal(t, monitoringv1.SchemeGroupVersion.String(), object.APIVersion)
	assert.Equal(t, kind, object.Kind)
	into := new(T)
	require.NoError(t, yaml.UnmarshalStrict(text, into), file)
	return into
}

func TestServiceMonitorsFindServices(t *testing.T) {
	for file, of := range map[string]struct {
		service string
		port    int32
	}{
		"manifests/monitoring/controller.yaml": {"manifests/controller/metrics-service.yaml", 8080},
		"manifests/monitoring/metrics.yaml":    {"manifests/metrics/service.yaml", 443},
	} {
		monitor := decode[monitoringv1.ServiceMonitor](t, file, monitoringv1.ServiceMonitorsKind)
		var found corev1.Service
		require.NoError(t, yaml.UnmarshalStrict(read(t, of.service), &found))
		selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
		require.NoError(t, err)
		assert.True(t, selector.Matches(labels.Set(found.Labels)), file)
		require.Len(t, monitor.Spec.Endpoints, 1)
		ports := map[string]int32{}
		for _, port := range found.Spec.Ports {
			ports[port.Name] = port.Port
		}
		assert.Equal(t, of.port, ports[monitor.Spec.Endpoints[0].Port], file)
		assert.Equal(t, "job", monitor.Spec.Endpoints[0].RelabelConfigs[0].TargetLabel)
		assert.Equal(t, monitor.Name, *monitor.Spec.Endpoints[0].RelabelConfigs[0].Replacement, "as in rules and dashboard")
	}
}

// TestPodMonitor checks that the PodMonitor is equivalent to prometheus.yaml, which is tested with pods.
func TestPodMonitor(t *testing.T) {
	monitor := decode[monitoringv1.PodMonitor](t, "manifests/monitoring/agents.yaml", monitoringv1.PodMonitorsKind)
	assert.True(t, monitor.Spec.NamespaceSelector.Any)
	require.Len(t, monitor.Spec.PodMetricsEndpoints, 1)
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	assert.Equal(t, "agent", *endpoint.Port)
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	require.NoError(t, err)
	assert.Equal(t, "hpa-selector", selector.String())

	var config struct {
		Jobs []struct {
			Name     string `json:"job_name"`
			Relabels []struct {
				Source []string `json:"source_labels,omitempty"`
				Regex  string   `json:"regex,omitempty"`
				Target string   `json:"target_label,omitempty"`
				Action string   `json:"action,omitempty"`
			} `json:"relabel_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(read(t, "manifests/monitoring/prometheus.yaml"), &config))
	var plain, operators []string
	for _, r := range config.Jobs[0].Relabels {
		plain = append(plain, strings.Join(r.Source, ";")+" "+r.Regex+" "+r.Target+" "+r.Action)
	}
	for _, r := range endpoint.RelabelConfigs {
		var source []string
		for _, label := range r.SourceLabels {
			source = append(source, string(label))
		}
		if len(source) == 0 {
			assert.Equal(t, "job", r.TargetLabel)
			assert.Equal(t, config.Jobs[0].Name, *r.Replacement)
			continue
		}
		operators = append(operators, strings.Join(source, ";")+" "+r.Regex+" "+r.TargetLabel+" "+r.Action)
	}
	require.Len(t, operators, 2)
	assert.Subset(t, plain, operators)
}

// TestRules checks that the rules are a valid PrometheusRule and that each alert has a severity and a description.
func TestRules(t *testing.T) {
	rules := decode[monitoringv1.PrometheusRule](t, shippedqueries.RulesFile, monitoringv1.PrometheusRuleKind)
	alerts := 0
	for _, group := range rules.Spec.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			alerts++
			assert.Contains(t, []string{"critical", "warning", "info"}, rule.Labels["severity"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		}
	}
	assert.Equal(t, 22, alerts)
}

// TestAlerts evaluates the rules with promtool and the values in testdata.
func TestAlerts(t *testing.T) {
	promtool := promserver.NeedTool(t)
	groups, err := shippedqueries.RuleGroups(read(t, shippedqueries.RulesFile))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), groups, 0o600))
	cases, err := os.ReadFile(filepath.Join("testdata", "alerts.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), cases, 0o600))
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "alerts.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// TestDashboard checks that Grafana can import the dashboard with any data source, and that its panels do not overlap.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		UID    string `json:"uid"`
		Title  string `json:"title"`
		Panels []struct {
			ID         int    `json:"id"`
			Type       string `json:"type"`
			Title      string `json:"title"`
			Datasource struct {
				UID string `json:"uid"`
			} `json:"datasource"`
			GridPos struct {
				H, W, X, Y int
			} `json:"gridPos"`
		} `json:"panels"`
	}
	require.NoError(t, json.Unmarshal(read(t, shippedqueries.DashboardFile), &dashboard))
	assert.Equal(t, "minicluster", dashboard.UID)
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		assert.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		if p.Type != "row" {
			assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Less(t, x, 24, p.Title)
				assert.Empty(t, taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
