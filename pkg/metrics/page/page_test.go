package page

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/test/framework/golden"
)

func written(t testing.TB, v view) string {
	t.Helper()
	template, err := newTemplate()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, template.page(&b, v))
	return b.String()
}

func TestPage(t *testing.T) {
	golden.Check(t, "tutorial.html", []byte(written(t, tutorial(t).view(everything(), query{}))))
}

// TestNothingYet checks the page without MiniClusters.
func TestNothingYet(t *testing.T) {
	w := newWorld(t)
	w.after(0)
	page := written(t, w.view(everything(), query{}))
	assert.Contains(t, page, "There are no MiniClusters.")
	assert.Contains(t, page, `No changes since <time datetime="2026-03-14T09:00:00Z">09:00</time>.`)
	assert.Contains(t, written(t, w.view(everything(), query{search: "x"})), "There are no matching MiniClusters.")
}

// TestNothingOfOthers checks that the page contains nothing about namespaces that the user may not see.
func TestNothingOfOthers(t *testing.T) {
	w := tutorial(t)
	page := written(t, w.view(scope{may: func(namespace string) bool { return namespace == "batch" }}, query{}))
	assert.Contains(t, page, "filler")
	assert.NotContains(t, page, "lab/")
	assert.NotContains(t, page, "solver")
	assert.NotContains(t, page, "cpu_remaining")
	assert.Contains(t, page, "You may not get the metrics of Service cluster-metrics")
	picked := written(t, w.view(scope{namespace: "batch", may: func(namespace string) bool { return namespace == "batch" }}, query{picked: "lab/solver"}))
	assert.NotContains(t, picked, "lab/solver")
}

// TestInjection checks that text from objects is always escaped.
func TestInjection(t *testing.T) {
	w := newWorld(t)
	nasty := `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "\u2028\x00&amp;"
	mc := cluster("ns", "mc", 1, 2)
	w.put(t, mc)
	w.after(0)
	changed := mc.DeepCopy()
	for _, kind := range []string{v1alpha2.ConditionReady, v1alpha2.ConditionProgressing, v1alpha2.ConditionScalingLimited, v1alpha2.ConditionFailed} {
		set(changed, kind, true, nasty, nasty)
	}
	set(changed, v1alpha2.ConditionAccepted, false, nasty, nasty)
	w.put(t, changed)
	// Kubernetes rejects such names, but the page does not rely on it.
	w.put(t, cluster(nasty, nasty, 1, 2))
	w.after(time.Second)
	for _, q := range []query{{picked: nasty + "/" + nasty}, {search: nasty, namespace: nasty}} {
		page := written(t, w.view(everything(), q))
		assert.Contains(t, page, "&lt;img src=x onerror=alert(2)&gt;")
		document, err := html.Parse(strings.NewReader(page))
		require.NoError(t, err)
		scripts := 0
		for n := range document.Descendants() {
			if n.Data == "script" {
				scripts++
			}
			assert.False(t, n.Type == html.ElementNode && n.Data == "img", "text became an element")
			for _, a := range n.Attr {
				assert.False(t, strings.HasPrefix(a.Key, "on"), "text became a handler: %s", a.Key)
				assert.False(t, a.Key == "href" && strings.Contains(a.Val, "script:"), "text became an address: %s", a.Val)
			}
		}
		assert.Equal(t, 1, scripts, "our own")
	}
}

// TestPolicy checks that the policy allows only the style and the script of the page.
func TestPolicy(t *testing.T) {
	template, err := newTemplate()
	require.NoError(t, err)
	page := written(t, newWorld(t).view(everything(), query{}))
	for tag, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		require.Len(t, found, 1)
		assert.Contains(t, template.policy, directive+" "+digest(found[0][1]))
	}
	assert.NotContains(t, template.policy, "unsafe")
	assert.NotContains(t, page, "style=")
	assert.NotRegexp(t, `(src|href)="(https?:|//|/)`, page, "no other servers, and no absolute paths, since the page may be behind a proxy")
}

// TestMany checks that five hundred of a thousand MiniClusters are listed at a time, and that others are found by name.
func TestMany(t *testing.T) {
	w := newWorld(t)
	w.sums = nodes(100, 6400, 25600, 11000)
	for i := range 1000 {
		name := "mc-" + string(rune('a'+i%26)) + "-" + strings.Repeat("x", i/26)
		w.put(t, cluster("ns", name, 1, 2))
	}
	w.after(0)
	v := w.view(everything(), query{})
	assert.Equal(t, []int{1, 500, 1000}, []int{v.First, v.Last, v.Total})
	assert.Len(t, v.Rows, 500)
	assert.Len(t, v.Sizes, maxCharts)
	assert.Empty(t, v.Earlier)
	v = w.view(everything(), query{from: 900})
	assert.Equal(t, []int{901, 1000}, []int{v.First, v.Last})
	assert.Equal(t, "?from=400", v.Earlier)
	assert.Empty(t, v.Later)
	v = w.view(everything(), query{from: 5000})
	assert.Equal(t, 1, v.First, "same as the first page")
	v = w.view(everything(), query{search: "mc-b-", from: 0})
	assert.Equal(t, 39, v.Total)
	v = w.view(everything(), query{picked: v.Rows[3].Namespace + "/" + v.Rows[3].Name})
	assert.Len(t, v.Sizes, 1)
	assert.Less(t, len(written(t, v)), 1<<20)
}

// TestSummary checks the numbers of MiniClusters by state, the order of the table, and the filter by state.
func TestSummary(t *testing.T) {
	w := tutorial(t)
	short := cluster("lab", "short", 1, 2)
	short.Spec.Opportunistic = &v1alpha2.Opportunistic{Weight: 1}
	set(short, v1alpha2.ConditionAutoscaling, false, v1alpha2.ReasonMetricUnavailable, "the HorizontalPodAutoscaler short does not change the size")
	failed := cluster("lab", "zero", 0, 2)
	set(failed, v1alpha2.ConditionFailed, true, v1alpha2.ConditionFailed, strings.Repeat("word ", 40))
	w.put(t, short)
	w.put(t, failed)
	w.say("lab/short", 1, 0, 0, 1)
	w.after(time.Second)
	names := func(v view) (names []string) {
		for _, r := range v.Rows {
			names = append(names, r.Name)
		}
		return names
	}
	v := w.view(everything(), query{})
	assert.Equal(t, []string{"zero", "short", "young", "filler", "solver", "old"}, names(v), "problems first")
	var counts []string
	for _, c := range v.Summary {
		counts = append(counts, fmt.Sprintf("%d %s %s", c.Count, c.Text, c.Link))
	}
	assert.Equal(t, []string{
		"2 with problems ?state=problems", "3 Ready ?state=Ready", "1 Complete ?state=Complete", "1 Failed ?state=Failed", "1 Pulling ?state=Pulling",
	}, counts)
	assert.Equal(t, "inactive", v.Rows[1].Autoscaler)
	assert.Equal(t, "the HorizontalPodAutoscaler short does not change the size", v.Rows[1].Note)
	assert.Len(t, v.Rows[1].Notes, 2, "and no requests")
	assert.LessOrEqual(t, len([]rune(v.Rows[0].Note)), maxShort+2)
	assert.Len(t, v.Rows[0].Notes, 1, "the whole text")

	v = w.view(everything(), query{state: onlyProblems})
	assert.Equal(t, []string{"zero", "short"}, names(v))
	assert.Equal(t, "?", v.Summary[0].Link, "selects all again")
	assert.Equal(t, []string{"short", "filler", "solver"}, names(w.view(everything(), query{state: "Ready"})))
	v = w.view(everything(), query{sort: bySize})
	assert.Equal(t, "filler", v.Rows[0].Name)
	assert.Equal(t, heading{"current", "?", "descending"}, v.By(bySize, "current"))
	assert.Equal(t, heading{"room", "?sort=room", ""}, v.By(byRoom, "room"))
	assert.Equal(t, "filler", w.view(everything(), query{sort: byName}).Rows[0].Name)
}

// TestNodes checks the table of nodes and the pods that fit nowhere, with and without rights.
func TestNodes(t *testing.T) {
	w := tutorial(t)
	gpu := corev1.ResourceName("nvidia.com/gpu")
	share := func(namespace, name string, cpu, pods int64) capacity.Share {
		return capacity.Share{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}, Requests: capacity.Resources{CPU: cpu, Pods: pods}}
	}
	w.overview = capacity.Overview{
		Names: []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods, gpu},
		Nodes: []capacity.NodeUsage{{
			Name:        "node-a",
			Allocatable: capacity.Resources{CPU: 32000, Memory: 64 << 30, Pods: 110, Other: map[corev1.ResourceName]int64{gpu: 2}},
			Requests:    capacity.Resources{CPU: 30500, Memory: 16 << 30, Pods: 20, Other: map[corev1.ResourceName]int64{gpu: 2}},
			MiniClusters: []capacity.Share{
				share("batch", "filler", 16000, 16), share("lab", "solver", 4000, 2),
			},
		}, {Name: "node-b", Allocatable: capacity.Resources{CPU: 8000}}},
		Nowhere: []capacity.PendingPods{
			{Namespace: "lab", Oldest: "large-0", Count: 2, Requests: capacity.Resources{CPU: 40000, Memory: 80 << 30}},
			{Namespace: "shop", Oldest: "secret", Count: 1},
		},
		AfterShrink: 4,
	}
	w.after(time.Second)
	all := everything()
	page := written(t, w.view(all, query{}))
	assert.Contains(t, page, "3 pending pods fit nowhere, even if all opportunistic MiniClusters had their minimum size: lab/large-0 and 1 like it (40 cores, 80 GiB), shop/secret (0 cores, 0 B).")
	assert.Contains(t, page, "4 pending pods fit when opportunistic MiniClusters have shrunk.")
	assert.Contains(t, page, "Single nodes are shown to users who may list nodes.")
	assert.NotContains(t, page, "node-a")

	all.nodes = true
	v := w.view(all, query{})
	assert.Equal(t, []string{"CPU, cores", "Memory, GiB", "Pods", "nvidia.com/gpu"}, v.NodeTable.Resources)
	assert.Equal(t, []nodeCell{{"1.5", "32", false}, {"48", "64", false}, {"90", "110", false}, {"0", "2", true}}, v.NodeTable.Rows[0].Cells)
	assert.Equal(t, "batch/filler 16, lab/solver 4, others 10.5", v.NodeTable.Rows[0].Users)
	assert.Empty(t, v.NodeTable.Rows[1].Users)
	assert.Contains(t, written(t, v), "<strong>1.5</strong> of 32")

	all.may = func(namespace string) bool { return namespace == "lab" }
	v = w.view(all, query{})
	assert.Equal(t, "lab/solver 4, others 26.5", v.NodeTable.Rows[0].Users)
	assert.Contains(t, v.Nowhere, "(40 cores, 80 GiB), 1 more.")
	assert.NotContains(t, written(t, v), "shop/secret")

	for range maxNodes {
		w.overview.Nodes = append(w.overview.Nodes, capacity.NodeUsage{Name: "more"})
	}
	w.after(time.Second)
	v = w.view(all, query{})
	assert.Len(t, v.NodeTable.Rows, maxNodes)
	assert.Equal(t, 2, v.NodeTable.Hidden)
}

// TestFiveHundred checks size and time of the page with 500 MiniClusters, after an hour in which everything changed.
func TestFiveHundred(t *testing.T) {
	w := restless(t, 500)
	for i := range 100 {
		w.overview.Nodes = append(w.overview.Nodes, capacity.NodeUsage{Name: fmt.Sprintf("node-%d", i), Allocatable: capacity.Resources{CPU: 64000}})
	}
	w.overview.Names = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods}
	w.after(time.Second)
	all := everything()
	all.nodes = true
	began := time.Now()
	v := w.view(all, query{})
	page := written(t, v)
	took := time.Since(began)
	t.Logf("%d KiB in %s", len(page)>>10, took.Round(time.Millisecond))
	assert.Len(t, v.Rows, 500)
	assert.Less(t, len(page), 2<<20)
}

func TestSamples(t *testing.T) {
	over := spanOf(begin, begin.Add(2*time.Hour), window, chartSteps)
	from := over.from.UnixMilli()
	l := series{points: []point{{from + 60_000, 5}, {from + 600_000, math.NaN()}, {from + 3_540_000, 7.5}}}
	values := strings.Split(samples(over, l, scale{size: 1, digits: 2}), ",")
	require.Len(t, values, sampleCount+1)
	assert.Equal(t, []string{noNumber, "", "5", ""}, values[:4])
	assert.Equal(t, noNumber, values[20])
	assert.Equal(t, []string{"7.5", "", ""}, values[118:])
	assert.Equal(t, 15*time.Minute, func() time.Duration {
		s := spanOf(begin, begin.Add(2*time.Hour), 15*time.Minute, chartSteps)
		return s.to.Sub(s.from)
	}())
}
