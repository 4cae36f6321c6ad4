package page

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/test/framework/browser"
)

var pictures = flag.String("pictures", "", "directory for screenshots of TestLook")

// fleet simulates an hour of some MiniClusters in different states, on ten nodes.
func fleet(t testing.TB, n int) *world {
	t.Helper()
	w := newWorld(t)
	w.sums = nodes(10, 640, 2560, 1100)
	w.overview.Names = w.sums.Names
	for i := range 10 {
		name := types.NamespacedName{Namespace: "team-0", Name: "cluster-000"}
		w.overview.Nodes = append(w.overview.Nodes, capacity.NodeUsage{
			Name:         fmt.Sprintf("worker-%d", i),
			Allocatable:  capacity.Resources{CPU: 64000, Memory: 256 << 30, Pods: 110},
			Requests:     capacity.Resources{CPU: int64(60000 + 500*i), Memory: 100 << 30, Pods: 30},
			MiniClusters: []capacity.Share{{NamespacedName: name, Requests: capacity.Resources{CPU: 32000, Pods: 8}}},
		})
	}
	w.overview.Nowhere = []capacity.PendingPods{{Namespace: "team-0", Oldest: "large", Count: 3, Requests: capacity.Resources{CPU: 80000, Memory: 64 << 30}}}
	var all []*v1alpha2.MiniCluster
	for i := range n {
		mc := cluster(fmt.Sprintf("team-%d", i%20), fmt.Sprintf("cluster-%03d", i), int32(1+i%30), 32)
		if i > 0 {
			set(mc, v1alpha2.ConditionAutoscaling, true, v1alpha2.ReasonAutoscalerActive, "the HorizontalPodAutoscaler sets sizes between 1 and 32")
		}
		switch {
		case i%50 == 7:
			set(mc, v1alpha2.ConditionReady, false, "ImagePullFailed", "")
			set(mc, v1alpha2.ConditionProgressing, true, "ImagePullFailed", "pod cluster-0 cannot pull image registry.example/flux/simulation:v17: not found; the image or its tag does not exist, or it needs a pull secret")
			set(mc, v1alpha2.ConditionStalled, true, "ImagePullFailed", "")
		case i%50 == 11:
			set(mc, v1alpha2.ConditionAutoscaling, false, v1alpha2.ReasonMetricUnavailable, "the HorizontalPodAutoscaler does not change the size: FailedGetObjectMetric: no size_demanded")
		case i%10 == 3:
			set(mc, v1alpha2.ConditionComplete, true, v1alpha2.ReasonComplete, "")
		}
		all = append(all, mc)
	}
	for minute := range 61 {
		for i, mc := range all {
			size := int32(1 + (i+minute/7)%30)
			w.put(t, resized(mc, size))
			w.say(mc.Namespace+"/"+mc.Name, int64(1+(i+minute/5)%30), int64(size), int64(i%4), 32)
			w.numbers[mc.Namespace+"/"+mc.Name+"/pods_fitting"] = 75
		}
		w.sums.Requests.CPU = int64(600000 + 500*(minute%13))
		w.after(time.Minute)
	}
	return w
}

// look opens the page in a browser.
type look struct {
	*browser.Browser
	t   *testing.T
	url string
}

func newLook(t *testing.T, w *world) *look {
	t.Helper()
	server, _ := serve(t, w, rules{Set: sets.New(":miniclusters.flux-framework.org", ":services", "nodes")})
	return &look{Browser: browser.New(t), t: t, url: server.URL + pages + "miniclusters"}
}

// live waits until the page receives updates.
func (l *look) live() {
	l.t.Helper()
	require.NoError(l.t, wait.PollUntilContextTimeout(l.t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return l.Text("#live") == "Live", nil
	}))
}

// TestLook opens the page in a real browser with 2 and with 500 MiniClusters, at three widths and in both schemes.
func TestLook(t *testing.T) {
	for _, n := range []int{2, 500} {
		l := newLook(t, fleet(t, n))
		l.Open(l.url)
		l.live()
		for _, width := range []int{360, 800, 1440} {
			l.Size(width, 1700)
			for _, scheme := range []string{"light", "dark"} {
				l.Prefer("prefers-color-scheme", scheme)
				var wide bool
				l.Eval(&wide, "return document.documentElement.scrollWidth > document.documentElement.clientWidth")
				assert.False(t, wide, "%d at %d: only tables scroll sideways", n, width)
				if *pictures != "" {
					name := fmt.Sprintf("page-%d-%d-%s.png", n, width, scheme)
					require.NoError(t, os.WriteFile(filepath.Join(*pictures, name), l.Picture(), 0o600))
				}
			}
		}
		var timing struct{ Size, Received, Parsed, Loaded float64 }
		l.Eval(&timing, `
			const n = performance.getEntriesByType('navigation')[0];
			return { size: n.decodedBodySize, received: n.responseEnd, parsed: n.domInteractive, loaded: n.loadEventEnd };`)
		t.Logf("%d MiniClusters: %.0f KiB, received after %.0f ms, parsed after %.0f ms, loaded after %.0f ms",
			n, timing.Size/1024, timing.Received, timing.Parsed, timing.Loaded)
		assert.Less(t, timing.Size, 2.0*(1<<20))
		assert.Less(t, timing.Loaded, 10_000.0, "a busy machine takes longer than the second that it takes otherwise")
		assert.Empty(t, l.Complaints(), "the console is quiet")
	}
}

// TestScript checks local time, the values under the pointer, the order and the filter in a real browser.
func TestScript(t *testing.T) {
	l := newLook(t, fleet(t, 60))
	l.Size(1440, 1000)
	l.Command("Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Asia/Tokyo"})
	l.Open(l.url)
	l.live()
	assert.Equal(t, "19:01:00", l.Text("#moment time"), "10:01 in UTC")
	assert.Contains(t, l.Text("#changes thead"), "GMT+9")
	var label string
	l.Eval(&label, `return [...document.querySelectorAll('#sizes .plot text.x')].map((e) => e.textContent).join(' ')`)
	assert.Contains(t, label, "18:30")

	var reading string
	l.Eval(&reading, `
		const plot = document.querySelector('#sizes .plot');
		const box = plot.getBoundingClientRect();
		plot.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.left + 431 * box.width / 440, clientY: box.top + 40 }));
		return document.getElementById('reading').hidden ? '' : document.getElementById('reading').textContent;`)
	lines := strings.Split(reading, "\n")
	require.Len(t, lines, 6, reading)
	var size string
	l.Eval(&size, `return document.querySelector('#sizes dd').textContent`)
	assert.Equal(t, "Size "+size, lines[1])
	l.Eval(&reading, `
		document.body.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: 1, clientY: 1 }));
		return String(document.getElementById('reading').hidden);`)
	assert.Equal(t, "true", reading)

	follow := func(selector string) {
		var href string
		l.Eval(&href, `return document.querySelector(arguments[0]).href`, selector)
		l.Open(href)
		l.live()
	}
	first := func() string { return l.Text("#miniclusters tbody tr") }
	assert.Contains(t, first(), "ImagePullFailed", "problems first")
	follow(`#summary a[href*="problems"]`)
	assert.Contains(t, l.Text(".pages"), "1 to 3 of 3.")
	follow(`#miniclusters th a[href*="sort=demanded"]`)
	assert.Equal(t, "demanded", l.Text(`#miniclusters th[aria-sort=descending]`))
	assert.Contains(t, l.Text(".pages"), "of 3.", "the filter stays")
	follow(`.choices a[href*="range=5"]`)
	assert.Equal(t, "5 min", l.Text(`#capacity .choices [aria-current]`))

	assert.Contains(t, l.Text("#capacity"), "3 pending pods fit nowhere")
	l.Eval(nil, `document.querySelector('#nodes summary').click()`)
	assert.Contains(t, l.Text("#nodes tbody tr"), "4 of 64")
	assert.Contains(t, l.Text("#nodes tbody tr"), "team-0/cluster-000 32, others 28")
	l.Eval(nil, `document.querySelector('.notes summary').click()`)
	assert.Contains(t, l.Text(".notes"), "FailedGetObjectMetric: no size_demanded")
	assert.Empty(t, l.Complaints(), "the console is quiet")
}
