package upgrade_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/user"
)

const (
	// fromVariable names the tag or the commit to upgrade from.
	fromVariable = "MINICLUSTER_UPGRADE_FROM"
	// miniClusters is the number of MiniClusters that run during the upgrade.
	miniClusters = 20
	patience     = 5 * time.Minute
)

// TestUpgradeAndRollback follows the runbook: from another version to this one and back, with running MiniClusters and
// a metrics API server. No pod is restarted, and no size, Job or spec changes.
func TestUpgradeAndRollback(t *testing.T) {
	from := os.Getenv(fromVariable)
	if from == "" {
		t.Skipf("builds the programs of another version: set %s to a tag or a commit, or run make upgrade FROM=...", fromVariable)
	}
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	older, newer := newRelease(t, root, from), &release{name: "this tree", root: root}
	newer.build(t)
	kube := clustertest.Own(t, cluster.Options{Nodes: 4})
	r := &rollout{Fixture: user.NewFixture(t, kube), kube: kube, dir: t.TempDir()}
	r.Patience = patience

	older.apply(t, kube)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "minicluster-metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	_, err = kube.Client().CoreV1().Services(user.SystemNamespace).Create(t.Context(), service, metav1.CreateOptions{})
	require.NoError(t, err)
	r.start(older)
	for i := range miniClusters {
		r.Apply(document(i))
	}
	for i := range miniClusters {
		r.WaitFor(nameOf(i), r.Ready(sizeOf(i)))
	}
	r.assertMetrics("mc-00")
	before := r.snapshot()

	r.replace(newer)
	assert.Equal(t, before, r.snapshot(), "the upgrade changes nothing")
	r.resize("mc-00", sizeOf(0)+1)
	r.CreateReady("of-the-new-version", 2, user.MaxSize(4))
	r.assertMetrics("mc-00")
	upgraded := r.snapshot()

	r.replace(older)
	assert.Equal(t, upgraded, r.snapshot(), "the rollback changes nothing")
	r.resize("mc-00", sizeOf(0)+2)
	r.resize("of-the-new-version", 3)
	r.assertMetrics("mc-00")
	for name, state := range r.snapshot() {
		assert.Equal(t, metav1.ConditionTrue, state.ready, name)
	}
}

func nameOf(i int) string { return fmt.Sprintf("mc-%02d", i) }

func sizeOf(i int) int32 { return int32(1 + i%3) } //nolint:gosec // at most 3

// document returns a MiniCluster. They differ in what the controller creates for them.
func document(i int) string {
	version, more := "v1alpha2", ""
	switch i % 4 {
	case 1:
		version = "v1alpha1"
	case 2:
		more = fmt.Sprintf(", {name: web-%d, image: nginx, ports: [80]}", i)
	}
	return fmt.Sprintf("apiVersion: flux-framework.org/%s\nkind: MiniCluster\nmetadata: {name: %s}\n"+
		"spec: {size: %d, minSize: 1, maxSize: 8, interactive: true, containers: [{image: flux, runFlux: true}%s]}\n", version, nameOf(i), sizeOf(i), more)
}

// release is a version of the product: its manifests and its programs.
type release struct {
	name string
	// root contains the sources.
	root string
	// bin contains the programs.
	bin string
}

// newRelease builds the programs of a commit from its sources.
func newRelease(t *testing.T, root, commit string) *release {
	t.Helper()
	r := &release{name: commit, root: t.TempDir()}
	archive := exec.CommandContext(t.Context(), "git", "archive", "--format=tar", commit)
	archive.Dir = root
	content, err := archive.Output()
	require.NoError(t, err, "git archive %s", commit)
	extract := exec.CommandContext(t.Context(), "tar", "--extract", "--directory="+r.root)
	extract.Stdin = bytes.NewReader(content)
	require.NoError(t, extract.Run())
	r.build(t)
	return r
}

func (r *release) build(t *testing.T) {
	t.Helper()
	r.bin = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", r.bin+string(filepath.Separator),
		"./cmd/minicluster-controller", "./cmd/minicluster-metrics")
	build.Dir, build.Env = r.root, append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s: %s", r.name, output)
}

// apply applies the manifests in the order of the runbook: the API before the rights. The Deployments are left out,
// because simulated nodes do not run programs.
func (r *release) apply(t *testing.T, kube *cluster.Cluster) {
	t.Helper()
	for _, folder := range []string{"namespace", "crd", "rbac", "metrics/rbac"} {
		require.NoError(t, kube.Apply(t.Context(), filepath.Join(r.root, "manifests", filepath.FromSlash(folder))), r.name)
	}
}

// rollout is a cluster whose programs are replaced.
type rollout struct {
	*user.Fixture
	kube *cluster.Cluster
	dir  string
	// controller and metrics are the running programs.
	controller, metrics *process.Process
	// metricsURL is that of the controller.
	metricsURL string
	started    int
}

// replace upgrades or rolls back: manifests, then the programs. The old leader stops when the new process waits for
// its lease, as in a Deployment.
func (r *rollout) replace(with *release) {
	r.Helper()
	began := time.Now()
	with.apply(r.T, r.kube)
	controller, metrics := r.controller, r.metrics
	require.NoError(r, metrics.Stop())
	r.start(with)
	require.NoError(r, controller.Stop())
	r.waitForSync(with)
	r.Logf("%s has reconciled all MiniClusters %.1f s after the first command", with.name, time.Since(began).Seconds())
}

// start starts the programs.
func (r *rollout) start(of *release) {
	r.Helper()
	port := r.freePort()
	r.metricsURL = "http://127.0.0.1:" + port + "/metrics"
	r.controller = r.launch(of, "minicluster-controller", user.Controller, "--health-bind-address=127.0.0.1:"+r.freePort(),
		"--metrics-bind-address=127.0.0.1:"+port, "--leader-elect-resource-namespace="+user.SystemNamespace)
	port = r.freePort()
	r.metrics = r.launch(of, "minicluster-metrics", user.Metrics, "--bind-address=127.0.0.1", "--metrics-bind-address=",
		"--secure-port="+port, "--service-port="+port)
}

func (r *rollout) freePort() string {
	r.Helper()
	port, err := process.FreePort(r.Context())
	require.NoError(r, err)
	return strconv.Itoa(port)
}

func (r *rollout) launch(of *release, program, account string, args ...string) *process.Process {
	r.Helper()
	kubeconfig, err := r.kube.KubeconfigFor(account, user.SystemGroups...)
	require.NoError(r, err)
	r.started++
	log := filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", program, r.started))
	p, err := process.Start(process.Command{
		Name: program + " of " + of.name, Path: filepath.Join(of.bin, program), Args: append([]string{"--kubeconfig=" + kubeconfig}, args...), Log: log,
	})
	require.NoError(r, err)
	r.Cleanup(func() {
		if err := p.Stop(); err != nil {
			r.Error(err)
		}
		if content, err := os.ReadFile(log); err == nil && r.Failed() {
			r.Logf("%s of %s:\n%s", program, of.name, content[max(0, len(content)-4000):])
		}
	})
	return p
}

// synced matches the number of reconciliations that ended without an error, also of those that are due again later.
var synced = regexp.MustCompile(`(?m)^minicluster_sync_duration_seconds_count\{result="(?:done|delayed|waiting)"\} (\d+)$`)

// waitForSync waits until the controller has reconciled all MiniClusters.
func (r *rollout) waitForSync(of *release) {
	r.Helper()
	r.Eventually(of.name+" to reconcile all MiniClusters", func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metricsURL, nil)
		if err != nil {
			return "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return "", err
		}
		count := 0
		for _, match := range synced.FindAllSubmatch(text, -1) {
			number, _ := strconv.Atoi(string(match[1])) // digits
			count += number
		}
		if count < miniClusters || !bytes.Contains(text, []byte("\nworkqueue_depth{name=\"minicluster\"} 0\n")) {
			return fmt.Sprintf("%d reconciliations", count), nil
		}
		return "", nil
	})
}

// state is what an upgrade must not change.
type state struct {
	size, maximum int32
	// generations are those of the spec of the MiniCluster and of its Job.
	generations [2]int64
	job         string
	ready       metav1.ConditionStatus
	// pods are the UIDs and restarts of pods by name.
	pods map[string]string
}

// snapshot returns the states of all MiniClusters.
func (r *rollout) snapshot() map[string]state {
	r.Helper()
	list, err := r.MiniClusters().List(r.Context(), metav1.ListOptions{})
	require.NoError(r, err)
	states := map[string]state{}
	for i := range list.Items {
		mc := &list.Items[i]
		job := r.Job(mc.Name)
		s := state{
			size: mc.Status.Size, maximum: mc.Status.MaximumSize, generations: [2]int64{mc.Generation, job.Generation},
			job: string(job.UID), pods: map[string]string{},
		}
		for _, c := range mc.Status.Conditions {
			if c.Type == v1alpha2.ConditionReady {
				s.ready = c.Status
			}
		}
		pods, err := user.ListPods(r.Context(), r.Kube, r.Namespace, user.Selector(mc.Name))
		require.NoError(r, err)
		for _, pod := range pods {
			restarts := int32(0)
			for _, status := range pod.Status.ContainerStatuses {
				restarts += status.RestartCount
			}
			s.pods[pod.Name] = fmt.Sprintf("%s, %d restarts", pod.UID, restarts)
		}
		states[mc.Name] = s
	}
	return states
}

func (r *rollout) resize(name string, size int32) {
	r.Helper()
	r.SetSize(name, size)
	r.WaitFor(name, r.Ready(size))
}

// assertMetrics waits until the metrics API server has a metric of a MiniCluster.
func (r *rollout) assertMetrics(name string) {
	r.Helper()
	r.Eventually("the metrics API", func(ctx context.Context) (string, error) {
		out, err := r.kube.Kubectl(ctx, "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/"+r.Namespace+
			"/miniclusters.flux-framework.org/"+name+"/size_fitting")
		if err != nil || strings.Contains(out, `"value"`) {
			return "", err
		}
		return out, nil
	})
}
