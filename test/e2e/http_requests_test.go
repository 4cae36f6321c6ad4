package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/promserver"
	"minicluster.internal/operator/test/framework/testimages"
	"minicluster.internal/operator/test/framework/user"
)

const (
	httpRequests = "examples/elasticity/horizontal-autoscaler/prometheus"
	// tellPrometheus is the beginning of the example's command that replaces the metrics API server.
	tellPrometheus = "kubectl patch deployment minicluster-metrics "
	// application selects the pods of the sample application.
	application = "app=sample-metrics-app"
	// loadImage is the image of the example that sends requests.
	loadImage = "busybox:1"
)

// playable returns a copy of the example with an image that the node has, and faster queries.
func playable(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, filepath.FromSlash(httpRequests)))))
	for file, change := range map[string][2]string{
		// That image contains Flux, so no view is needed.
		"minicluster.yaml": {`(?s)  flux:.*`, "  flux: {container: {disable: true}}\n  containers: [{image: " + fluxImage + "}]\n"},
		"queries.yaml":     {`\[1m\]`, "[10s]"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		require.Regexp(t, change[0], string(text))
		text = regexp.MustCompile(change[0]).ReplaceAll(text, []byte(change[1]))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), text, 0o600))
	}
	return dir
}

func readCommands(root string) ([]typed, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(httpRequests), "README.md"))
	if err != nil {
		return nil, fmt.Errorf("reading the commands: %w", err)
	}
	return console(string(text)), nil
}

// tellMetrics configures a Prometheus for the metrics API server, as the example does. This replaces its pods, which
// other tests count, so it happens before they run. Without queries, Prometheus gets no requests.
func tellMetrics(ctx context.Context, kube *node.Node) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	commands, err := readCommands(root)
	if err != nil {
		return err
	}
	for _, one := range commands {
		if strings.HasPrefix(one.command, tellPrometheus) {
			if _, err := newTerminal(kube, root).run(ctx, one.command); err != nil {
				return err
			}
			return metricsReplaced(ctx, kube)
		}
	}
	return fmt.Errorf("the example has no command %q", tellPrometheus)
}

// metricsReplaced waits until only new pods of the metrics API server exist.
func metricsReplaced(ctx context.Context, kube *node.Node) error {
	_, err := kube.Kubectl(ctx, "rollout", "status", "deployment", "minicluster-metrics", "--namespace="+systemNamespace, "--timeout="+readyPatience.String())
	if err != nil {
		return fmt.Errorf("replacing the metrics API server: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, readyPatience, true, func(ctx context.Context) (bool, error) {
		pods, err := user.ListPods(ctx, kube.Client(), systemNamespace, "app.kubernetes.io/name=minicluster-metrics")
		return err == nil && len(pods) == 2, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the end of the replaced metrics API servers: %w", err)
	}
	return nil
}

// TestHTTPRequests runs all commands of the example in order: the sample application as an image on a node, a
// Prometheus that scrapes its pods, and autoscalers of a Deployment and of a MiniCluster that follow the load up and
// down. Commands of docker and kind are replaced by equivalent ones; "kubectl" is run literally.
func TestHTTPRequests(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	promserver.Need(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	commands, err := readCommands(root)
	require.NoError(t, err)
	e := &httpExample{T: t, kube: kube, root: root, dir: playable(t, root)}
	e.terminal = newTerminal(kube, e.dir)
	t.Cleanup(e.remove)
	for _, one := range commands {
		t.Logf("$ %s", one.command)
		e.play(one)
	}
	assert.Equal(t, []string{"image", "in cluster", "applied", "queries", "autoscalers", "load", "grown"}, e.done)

	ended := time.Now()
	_, err = kube.Kubectl(t.Context(), "delete", "pod", "load", "--now", "--wait=false")
	require.NoError(t, err)
	eventuallyPods(t, kube, metav1.NamespaceDefault, application, autoscalePatience, areReady(2))
	eventuallyPods(t, kube, metav1.NamespaceDefault, user.Selector("workers"), autoscalePatience, areReady(1))
	t.Logf("2 pods and 1 remain %.1f s after the load ended", time.Since(ended).Seconds())
}

// httpExample is the state of the example.
type httpExample struct {
	*testing.T
	kube      *node.Node
	root, dir string
	terminal  terminal

	image ociimage.Image
	done  []string
}

func (e *httpExample) play(one typed) {
	e.Helper()
	words := strings.Fields(one.command)
	// begins reports whether the command has a prefix.
	begins := func(with string) bool { return strings.HasPrefix(one.command, with) }
	switch {
	case begins("CGO_ENABLED=0 go build "):
		// Into the copy, not among the sources.
		into := strings.Replace(one.command, "-o "+httpRequests+"/", "-o "+e.dir+"/", 1)
		require.NotEqual(e, one.command, into)
		output, err := terminal{e.root, os.Environ()}.run(e.Context(), into)
		require.NoError(e, err, output)
	case begins("cd "):
		require.Equal(e, "cd "+httpRequests, one.command)
	case begins("docker build -t http-requests:1 http-requests"):
		var err error
		e.image, err = build(filepath.Join(e.dir, words[len(words)-1]))
		require.NoError(e, err)
		e.done = append(e.done, "image")
	case begins("kind load docker-image http-requests:1"):
		require.NoError(e, load(e.Context(), e.kube, e.TempDir(), words[len(words)-1], e.image))
		e.done = append(e.done, "in cluster")
	case begins("kubectl apply -f app.yaml"):
		e.run(one)
		eventuallyPods(e.T, e.kube, metav1.NamespaceDefault, application, readyPatience, areReady(1))
		server := startDiscovering(e.T, e.kube, filepath.Join(e.dir, "prometheus.yaml"), metav1.NamespaceDefault, "sample-metrics-app")
		server.Eventually(e.T, `count(up{job="sample-metrics-app", namespace="default", service="sample-metrics-app", pod=~"sample-metrics-app-.+"} == 1)`, 1)
		publish(e.T, e.kube, server, "monitoring", "prometheus", 9090)
		e.done = append(e.done, "applied")
	case begins(tellPrometheus):
		require.Contains(e, one.command, `"--prometheus-url=http://prometheus.monitoring:9090"`)
		// Done before, see tellMetrics.
	case begins("kubectl apply -f queries.yaml"):
		e.run(one)
		e.done = append(e.done, "queries")
	case begins("kubectl get --raw"):
		e.eventually(one)
	case begins("kubectl patch configmap"):
		e.run(one)
	case begins("kubectl apply -f hpa.yaml -f minicluster.yaml -f hpa-minicluster.yaml"):
		e.run(one)
		eventuallyPods(e.T, e.kube, metav1.NamespaceDefault, user.Selector("workers"), readyPatience, areReady(1))
		eventuallyPods(e.T, e.kube, metav1.NamespaceDefault, application, hpaPatience, areReady(2))
		e.done = append(e.done, "autoscalers")
	case begins("kubectl run load --image=" + loadImage + " "):
		e.loader()
		e.run(one)
		e.done = append(e.done, "load")
	case begins("kubectl get hpa --watch"):
		e.watch(one)
		e.done = append(e.done, "grown")
	default:
		require.Fail(e, "a command that this test does not support", one.command)
	}
}

// run runs a command that must succeed, and compares its output if the text shows one.
func (e *httpExample) run(one typed) {
	e.Helper()
	output, err := e.terminal.run(e.Context(), one.command)
	require.NoError(e, err)
	if one.answer != "" {
		assert.Equal(e, one.answer, output, one.command)
	}
}

// eventually repeats a command until its output has values, or is the one that the text shows.
func (e *httpExample) eventually(one typed) {
	e.Helper()
	var output string
	err := wait.PollUntilContextTimeout(e.Context(), 10*pollInterval, hpaPatience, true, func(ctx context.Context) (bool, error) {
		var err error
		if output, err = e.terminal.run(ctx, one.command); one.answer != "" {
			return output == one.answer, nil
		}
		return err == nil && strings.Contains(output, `"metricName":"http_requests"`), nil
	})
	require.NoError(e, err, "%s: %s, not %s", one.command, output, one.answer)
}

// loader creates a pod that sends the load: the same program as in the image of that name.
func (e *httpExample) loader() {
	e.Helper()
	busybox, _, err := testimages.FindBusybox(e.Context())
	require.NoError(e, err)
	image := ociimage.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/bin"}},
		Files:    []ociimage.File{ociimage.Program("/bin/busybox", busybox)},
	}
	for _, applet := range []string{"sh", "sleep", "wget"} {
		image.Files = append(image.Files, ociimage.Link("/bin/"+applet, "busybox"))
	}
	require.NoError(e, load(e.Context(), e.kube, e.TempDir(), loadImage, image))
}

// watch follows the output of autoscalers until both have more pods than without load. The exact number depends on
// how many requests a busy machine sends.
func (e *httpExample) watch(one typed) {
	e.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(e.Context(), autoscalePatience)
	defer cancel()
	cmd := e.terminal.command(ctx, "exec "+one.command)
	output, err := cmd.StdoutPipe()
	require.NoError(e, err)
	require.NoError(e, cmd.Start())
	waiting := map[string]int{"sample-metrics-app-hpa": 2, "workers": 1}
	var shown strings.Builder
	for lines := bufio.NewScanner(output); len(waiting) > 0 && lines.Scan(); {
		fmt.Fprintln(&shown, lines.Text())
		if fields := strings.Fields(lines.Text()); len(fields) > 6 {
			replicas, err := strconv.Atoi(fields[len(fields)-2])
			if least, still := waiting[fields[0]]; still && err == nil && replicas > least {
				delete(waiting, fields[0])
			}
		}
	}
	cancel()
	_ = cmd.Wait() // it was stopped
	require.Empty(e, waiting, "%s%s", shown.String(), report(e.T, e.kube, metav1.NamespaceDefault))
	more := func(than int) func([]corev1.Pod) bool {
		return func(pods []corev1.Pod) bool { return len(pods) > than && areReady(len(pods))(pods) }
	}
	pods := eventuallyPods(e.T, e.kube, metav1.NamespaceDefault, application, hpaPatience, more(2))
	workers := eventuallyPods(e.T, e.kube, metav1.NamespaceDefault, user.Selector("workers"), hpaPatience, more(1))
	e.Logf("%d pods and %d are ready %.1f s after the load began", len(pods), len(workers), time.Since(begin).Seconds())
}

// remove deletes the objects in namespaces that remain.
func (e *httpExample) remove() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.Context()), readyPatience)
	defer cancel()
	for _, args := range [][]string{
		{"pod/load", "horizontalpodautoscaler/sample-metrics-app-hpa", "horizontalpodautoscaler/workers", "minicluster/workers", "deployment/sample-metrics-app", "service/sample-metrics-app"},
		{"configmap/minicluster-metrics-queries", "--namespace=" + systemNamespace},
	} {
		if _, err := e.kube.Kubectl(ctx, append([]string{"delete", "--ignore-not-found", "--wait=false"}, args...)...); err != nil {
			e.Errorf("cleaning up: %v", err)
		}
	}
}
