package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/pagefigures"
)

// figures are numbers by object and name.
type figures map[string]float64

// TestAgree checks that every number on the page equals that of the metrics API and, if it exists there, that of
// /metrics; and that both have all figures of the cluster and of MiniClusters.
func TestAgree(t *testing.T) {
	// Not in parallel with other tests, whose pods would change the cluster all the time.
	f := newFixture(t)
	cores := func(n string) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			mc.Spec.MaxSize = 9
			mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(n), corev1.ResourceMemory: resource.MustParse("3Gi"),
			}}
		}
	}
	f.ready("first", 3, cores("1500m"))
	f.ready("second", 2, cores("2"))
	agents.say(f.Namespace+"/first", 7, 3, 4)
	agents.say(f.Namespace+"/second", 400, 1, 0)

	var page, api, prometheus figures
	f.Eventually("the page, the API and /metrics agree", func(ctx context.Context) (string, error) {
		before, err := f.api(ctx)
		if err != nil {
			return "", err
		}
		if page, err = f.shown(ctx); err != nil {
			return "", err
		}
		for _, name := range []string{"first", "second"} {
			if _, known := page[f.Namespace+"/"+name+"/size_demanded"]; !known {
				return "the agent of " + name + " has not been queried before the page was recorded", nil
			}
		}
		if prometheus, err = f.exposed(ctx); err != nil {
			return "", err
		}
		if api, err = f.api(ctx); err != nil {
			return "", err
		}
		if !maps.Equal(before, api) {
			return "the cluster does not rest", nil
		}
		for name, n := range page {
			if want, known := api[name]; !known || n != want {
				return fmt.Sprintf("%s: %v on the page, %v in the API", name, n, want), nil
			}
		}
		for name, n := range prometheus {
			if want, known := api[name]; !known || n != want {
				return fmt.Sprintf("%s: %v at /metrics, %v in the API", name, n, want), nil
			}
		}
		return "", nil
	})
	// Check that the comparison was not empty.
	of := f.Namespace + "/"
	for name, want := range map[string]float64{
		"cluster/nodes": 6, "cluster/cpu_capacity": 384, of + "first/size_demanded": 7, of + "second/size_demanded": 9,
		of + "first/job_queue_state_run_count": 3, of + "first/job_queue_state_sched_count": 4,
		of + "first/size": 3, of + "first/maximum": 9, of + "second/ready": 2,
	} {
		assert.InDelta(t, want, page[name], 0, name)
	}
	for _, name := range []string{"cluster/cpu_remaining", "cluster/mem_requests", "cluster/pod_allocatable", of + "first/size_fitting"} {
		assert.Contains(t, page, name)
		assert.Contains(t, prometheus, name)
	}
	for name := range api {
		metric := name[strings.LastIndex(name, "/")+1:]
		if _, there := prometheus[name]; !there && strings.HasPrefix(name, "cluster/") {
			t.Errorf("%s is not at /metrics", metric)
		}
	}
	t.Logf("%d numbers of the page and %d of /metrics are those of the API, which has %d", len(page), len(prometheus), len(api))
}

// api returns the figures of the cluster and of the namespace's MiniClusters in the metrics API and in their objects.
func (f *fixture) api(ctx context.Context) (figures, error) {
	list, err := f.Kube.Discovery().ServerResourcesForGroupVersion("custom.metrics.k8s.io/v1beta2")
	if err != nil {
		return nil, fmt.Errorf("listing metrics: %w", err)
	}
	out := figures{}
	get := func(object, metric string, to func(name string) string) error {
		path := "/apis/custom.metrics.k8s.io/v1beta2/namespaces/" + f.Namespace + "/" + object + "/" + metric
		raw, err := f.Kube.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return nil //nolint:nilerr // the number does not exist, so the page must not have it either
		}
		var values struct {
			Items []struct {
				DescribedObject struct{ Name string }
				Value           resource.Quantity
			}
		}
		if err := json.Unmarshal(raw, &values); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		for _, v := range values.Items {
			out[to(v.DescribedObject.Name)+"/"+metric] = v.Value.AsApproximateFloat64()
		}
		return nil
	}
	for _, r := range list.APIResources {
		kind, metric, _ := strings.Cut(r.Name, "/")
		switch kind {
		case "services":
			err = get("services/cluster-metrics", metric, func(string) string { return "cluster" })
		default:
			err = get(kind+"/*", metric, func(name string) string { return f.Namespace + "/" + name })
		}
		if err != nil {
			return nil, err
		}
	}
	mcs, err := f.MiniClusters().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	for i := range mcs.Items {
		mc := &mcs.Items[i]
		for what, n := range map[string]int32{
			"size": mc.Status.Size, "wanted": mc.RequestedSize(), "ready": mc.Status.ReadySize, "minimum": mc.MinimumSize(), "maximum": mc.Status.MaximumSize,
		} {
			out[f.Namespace+"/"+mc.Name+"/"+what] = float64(n)
		}
	}
	return out, nil
}

// shown returns the figures in the tables and beside the charts of the page.
func (f *fixture) shown(ctx context.Context) (figures, error) {
	status, body, err := f.get(ctx, f.Cluster.Config(), "", root+"namespaces/"+f.Namespace+"/miniclusters")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%d: %s", status, body)
	}
	return pagefigures.Read(body) //nolint:wrapcheck // already wrapped
}

// exposed returns the figures at /metrics, by the names of the API.
func (f *fixture) exposed(ctx context.Context) (figures, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+running.MetricsAddress+"/metrics", http.NoBody)
	require.NoError(f, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("requesting /metrics: %w", err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading /metrics: %w", err)
	}
	prefixes := map[string]string{"cpu": "cpu", "memory": "mem", "pods": "pod"}
	out := figures{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			prefix := prefixes[labels["resource"]]
			if prefix == "" {
				prefix = labels["resource"]
			}
			about := "cluster"
			if labels["minicluster"] != "" {
				about = labels["namespace"] + "/" + labels["minicluster"]
			}
			kind, ofNodes := strings.CutPrefix(name, "minicluster_nodes_")
			seen, ofSeen := strings.CutPrefix(name, "minicluster_eligible_nodes_")
			value := m.GetGauge().GetValue()
			switch {
			case about != "cluster" && labels["namespace"] != f.Namespace:
			case ofNodes:
				out[about+"/"+prefix+"_"+kind] = value
			case ofSeen:
				out[about+"/"+prefix+"_"+seen] = value
			case name == "minicluster_nodes":
				out["cluster/nodes"] = value
			case name == "minicluster_size_fitting":
				out[about+"/size_fitting"] = value
			case strings.HasPrefix(name, "cpu_"), strings.HasPrefix(name, "mem_"), strings.HasPrefix(name, "pod_"):
				out["cluster/"+name] = value
			}
		}
	}
	return out, nil
}
