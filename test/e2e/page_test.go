package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/browser"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const pages = "/apis/page.flux-framework.org/v1alpha1/"

// startProxy returns the address of "kubectl proxy", which runs until the test ends.
func startProxy(t *testing.T, kube *node.Node) string {
	t.Helper()
	said := filepath.Join(t.TempDir(), "proxy.log")
	p, err := process.Start(process.Command{
		// kubectl chooses the port.
		Name: "kubectl proxy", Path: kube.KubectlPath(), Args: []string{"proxy", "--port=0", "--kubeconfig=" + kube.Kubeconfig()}, Log: said,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop() })
	var address string
	err = p.During(t.Context(), func(ctx context.Context) error {
		return wait.PollUntilContextTimeout(ctx, pollInterval, readyPatience, true, func(context.Context) (bool, error) {
			text, err := os.ReadFile(said)
			if found := regexp.MustCompile(`Starting to serve on (\S+)\n`).FindStringSubmatch(string(text)); found != nil {
				address = found[1]
			}
			return address != "", err
		})
	})
	require.NoError(t, err)
	return "http://" + address
}

// figuresOf returns the numbers in the row of a MiniCluster, in a page or in an update of it, by their names there.
func figuresOf(html, namespace, name string) map[string]string {
	_, row, found := strings.Cut(html, `<tr id="row/`+namespace+"/"+name+`"`)
	if !found {
		return nil
	}
	row, _, _ = strings.Cut(row, "</tr>")
	return numbers(row)
}

func numbers(html string) map[string]string {
	all := map[string]string{}
	for _, match := range regexp.MustCompile(`data-of="([a-z]+)">(?:<strong>)?<data value="([^"]+)">`).FindAllStringSubmatch(html, -1) {
		all[match[1]] = match[2]
	}
	for _, match := range regexp.MustCompile(`<data value="([^"]+)" data-metric="([a-z_]+)">`).FindAllStringSubmatch(html, -1) {
		all[match[2]] = match[1]
	}
	return all
}

// TestPage reads the page as documented, through "kubectl proxy": it shows the same as "kubectl get", and receives
// updates. It does not run in parallel: another test replaces the server.
func TestPage(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	pods := start(t, kube, namespace, "flux-sample", 2, strings.Replace(interactive("flux-sample", 2), "size: 2", "size: 2\n  minSize: 1\n  maxSize: 4", 1))
	for range 3 { // one of them is pending
		flux(t, kube, pods[0], "submit", "-N1", "sleep", "600")
	}
	eventuallyMetric(t, kube, namespace, "size_demanded", "3")
	proxy := startProxy(t, kube)
	address := proxy + pages + "namespaces/" + namespace + "/miniclusters"

	page, shown := eventuallyAgree(t, kube, namespace, address, "3")
	assert.Contains(t, shown, "size_fitting", "the free capacity changes all the time")

	before, _, found := strings.Cut(page, `id="miniclusters"`)
	require.True(t, found)
	ofCluster := numbers(before)
	for _, metric := range []string{"nodes", "cpu_capacity", "mem_capacity", "pod_allocatable"} {
		answer, err := kube.Kubectl(t.Context(), "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/"+namespace+"/services/cluster-metrics/"+metric)
		require.NoError(t, err)
		assert.Contains(t, answer, `"value":"`, metric)
		assert.NotEmpty(t, ofCluster[metric], metric)
	}
	assert.Equal(t, "1", ofCluster["nodes"])
	servers, err := user.ListPods(t.Context(), kube.Client(), systemNamespace, "app.kubernetes.io/name=minicluster-metrics")
	require.NoError(t, err)
	replica := regexp.MustCompile(`history since <time datetime="[^"]+">\d\d:\d\d</time> in replica (\S+?)<`).FindStringSubmatch(page)
	require.NotNil(t, replica, page)
	t.Logf("%s answered, of %v", replica[1], names(servers))
	assert.Contains(t, replica[1], "minicluster-metrics-")

	follow(t, kube, namespace, address)
	t.Run("browser", func(t *testing.T) {
		b := browser.New(t)
		b.Open(address)
		say := func(selector, want string) {
			t.Helper()
			var got string
			err := wait.PollUntilContextTimeout(t.Context(), 10*pollInterval, hpaPatience, true, func(context.Context) (bool, error) {
				got = b.Text(selector)
				return got == want, nil
			})
			require.NoError(t, err, "%s is %q, not %q", selector, got, want)
		}
		row := fmt.Sprintf(`tr[id="row/%s/flux-sample"] `, namespace)
		say("#live", "Live")
		say(row+"[data-of=wanted]", "3")
		say(row+"[data-of=ready]", "3")
		scale(t, kube, namespace, "flux-sample", 4)
		say(row+"[data-of=wanted]", "4")
		say(row+"[data-of=ready]", "4")
		say(row+"[data-metric=size_demanded]", "3")
		assert.Empty(t, b.Complaints())
	})
}

// eventuallyAgree waits until the page shows the numbers of the metrics API and of "kubectl get": each replica of the
// server collects them at its own times. It returns the page, and the numbers on it.
func eventuallyAgree(t *testing.T, kube *node.Node, namespace, address, demanded string) (page string, shown map[string]string) {
	t.Helper()
	f := fixtureIn(t, kube, namespace)
	f.Interval, f.Patience = 10*pollInterval, hpaPatience
	f.Eventually("the page, the metrics API and kubectl to agree", func(ctx context.Context) (string, error) {
		var err error
		if page, err = fetchPage(ctx, address); err != nil {
			return "", err
		}
		shown = figuresOf(page, namespace, "flux-sample")
		if shown["size_demanded"] != demanded {
			return fmt.Sprintf("the page has %v", shown), nil
		}
		for _, metric := range []string{"size_demanded", "job_queue_state_run_count", "job_queue_state_sched_count"} {
			value, err := metricOf(ctx, kube, namespace, metric)
			if err != nil || value != shown[metric] {
				return fmt.Sprintf("%s is %q, the page has %v", metric, value, shown), err
			}
		}
		columns, err := kube.Kubectl(ctx, "get", "minicluster", "flux-sample", "--namespace="+namespace,
			"--output=custom-columns=:.spec.size,:.status.size,:.status.readySize,:.spec.minSize,:.status.maximumSize", "--no-headers")
		if err != nil {
			return "", err
		}
		if !slices.Equal(strings.Fields(columns), []string{shown["wanted"], shown["size"], shown["ready"], shown["minimum"], shown["maximum"]}) {
			return fmt.Sprintf("kubectl prints %s, the page has %v", columns, shown), nil
		}
		return "", nil
	})
	return page, shown
}

// follow scales a MiniCluster from 2 to 3, and waits until both sizes arrive in a stream of updates. A stream ends
// after a minute; the next one starts with the current state.
func follow(t *testing.T, kube *node.Node, namespace, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hpaPatience)
	defer cancel()
	seen := map[string]bool{}
	scaled := time.Time{}
	for streams := 0; ; streams++ {
		require.NoError(t, ctx.Err(), "after %d streams, the sizes were %v", streams, seen)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?watch=true", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Accept", "text/event-stream")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
		updates := bufio.NewReader(response.Body)
		for event := ""; err == nil; {
			var line string
			line, err = updates.ReadString('\n')
			if line != "\n" {
				event += strings.TrimPrefix(line, "data: ")
				continue
			}
			row := figuresOf(event, namespace, "flux-sample")
			event = ""
			seen["wanted "+row["wanted"]], seen["ready "+row["ready"]] = true, true
			if seen["ready 2"] && scaled.IsZero() {
				scaled = time.Now()
				scale(t, kube, namespace, "flux-sample", 3)
			}
			if seen["wanted 3"] && seen["ready 3"] {
				t.Logf("3 are ready on the page %.1f s after the size was set", time.Since(scaled).Seconds())
				require.NoError(t, response.Body.Close())
				return
			}
		}
		_ = response.Body.Close()
	}
}

func fetchPage(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", address, response.Status, text)
	}
	return string(text), err
}
