package page

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
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
	assert.Contains(t, page, "No changes since 09:00.")
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

// TestMany checks that a hundred of a thousand MiniClusters are listed at a time, and that others are found by name.
func TestMany(t *testing.T) {
	w := newWorld(t)
	w.sums = nodes(100, 6400, 25600, 11000)
	for i := range 1000 {
		name := "mc-" + string(rune('a'+i%26)) + "-" + strings.Repeat("x", i/26)
		w.put(t, cluster("ns", name, 1, 2))
	}
	w.after(0)
	v := w.view(everything(), query{})
	assert.Equal(t, []int{1, 100, 1000}, []int{v.First, v.Last, v.Total})
	assert.Len(t, v.Rows, 100)
	assert.Len(t, v.Sizes, maxCharts)
	assert.Empty(t, v.Earlier)
	v = w.view(everything(), query{from: 900})
	assert.Equal(t, []int{901, 1000}, []int{v.First, v.Last})
	assert.Equal(t, "?from=800", v.Earlier)
	assert.Empty(t, v.Later)
	v = w.view(everything(), query{from: 5000})
	assert.Equal(t, 1, v.First, "same as the first page")
	v = w.view(everything(), query{search: "mc-b-", from: 0})
	assert.Equal(t, 39, v.Total)
	v = w.view(everything(), query{picked: v.Rows[3].Namespace + "/" + v.Rows[3].Name})
	assert.Len(t, v.Sizes, 1)
	assert.Less(t, len(written(t, v)), 200<<10)
}
