package queues

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/testimages"
	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// onNode is a real node with Kueue and the product, for what pods do when Kueue stops them.
var onNode realNode

type realNode struct {
	suite *clustertest.Suite
	node  *node.Node
	kueue *Kueue
}

func (r *realNode) start(ctx context.Context) (*cluster.Cluster, func() error, error) {
	started, err := node.Start(ctx, node.Options{Cluster: cluster.Options{Log: os.Stderr}})
	if err != nil {
		return nil, nil, err
	}
	r.node = started
	if err = testimages.Import(ctx, started); err == nil {
		r.kueue, err = Start(ctx, started.Cluster, started.Enter, nil)
	}
	if err == nil {
		err = r.install(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the node: %w", err)
	}
	return started.Cluster, r.stop, nil
}

// install installs the product as the end-to-end tests do.
func (r *realNode) install(ctx context.Context) error {
	root, err := neighbour.Root()
	if err != nil {
		return err
	}
	if err := r.node.Apply(ctx, filepath.Join(root, "test", "e2e", "testdata", "install")); err != nil {
		return err
	}
	_, err = r.node.Kubectl(ctx, "rollout", "status", "deployment/minicluster-controller", "--namespace="+user.SystemNamespace, "--timeout=120s")
	return err
}

// stop stops the node, and Kueue with it: the node's processes end with its first one.
func (r *realNode) stop() error {
	err := r.node.Stop()
	if r.kueue != nil {
		_ = r.kueue.Stop() // it was killed
	}
	return err
}

// thousand is the number of jobs that are pending when Kueue preempts their cluster.
const thousand = 1000

// jobSizes are options of flux submit.
func jobSizes() []string { return []string{"-n1", "-n2", "-N1", "-N2"} }

// TestPreemptionOfManyJobs: Kueue preempts a cluster with a thousand pending jobs of several sizes. The kubelet then
// stops its pods, and the agents save the jobs; after the resume, each has run once. A job that ran is stopped, and
// does not run again.
func TestPreemptionOfManyJobs(t *testing.T) {
	neighbour.Need(t)
	for _, missing := range node.Missing() {
		require.NoError(t, missing, "the test needs what the end-to-end tests need")
	}
	kube := onNode.suite.Cluster(t)
	t.Run("stand-in", func(t *testing.T) {
		preemptMany(t, kube, flux{root: "/usr"})
	})
	t.Run("real Flux", func(t *testing.T) {
		root, volumes, ok := testimages.MachineFlux()
		if !ok {
			t.Skip("needs an installed Flux on PATH")
		}
		preemptMany(t, kube, flux{root, volumes})
	})
}

// flux is the Flux in the pods: that of their image, or that of this machine, whose files they mount.
type flux struct {
	root    string
	volumes map[string]v1alpha2.ContainerVolume
}

// fixtureOnNode returns a queue with a quota of one CPU: the node has few.
func fixtureOnNode(t *testing.T, kube *cluster.Cluster) *fixture {
	t.Helper()
	f := fixtureIn(t, kube)
	f.Interval = 50 * time.Millisecond
	f.Kubectl("patch", "clusterqueue", f.Namespace, "--type=json", "-p",
		`[{"op":"replace","path":"/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota","value":"1"}]`)
	f.allowPreemption()
	return f
}

// many is a cluster of two pods with many jobs.
type many struct {
	*fixture
	// dir is mounted at /state.
	dir string
}

func preemptMany(t *testing.T, kube *cluster.Cluster, in flux) {
	t.Helper()
	m := &many{fixture: fixtureOnNode(t, kube), dir: t.TempDir()}
	require.NoError(t, os.Chmod(m.dir, 0o777))
	m.Report = m.describePods
	m.CreateReady("low", 2, queued(), archived, in.pods(m.dir))
	before := m.Job("low").UID
	m.submitAll(in)
	assert.Len(t, strings.Fields(m.flux("jobs", "-c0", "--filter=pending", "-no", "{id}")), thousand)
	m.urgentOf(2, corev1.Container{Image: testimages.Flux, Command: []string{"sleep", "3600"}}, "400m")
	m.preempted("low")
	assert.Empty(t, m.ran(), "no pending job starts while the pods stop")
	assert.FileExists(t, filepath.Join(m.dir, "archive.tar"))

	m.Kubectl("delete", "job", "urgent")
	begin := time.Now()
	m.WaitFor("low", m.Ready(2))
	assert.Equal(t, before, m.Job("low").UID)
	m.eventuallyFile("the first job", func() bool { return len(m.ran()) > 0 })
	t.Logf("first job %.1f s after the end of the urgent Job", time.Since(begin).Seconds())
	m.Patience = 25 * time.Minute
	m.eventuallyFile("all jobs", func() bool { return len(m.ran()) >= thousand })
	m.eventuallyFile("the end of all jobs", func() bool { return m.flux("jobs", "-no", "{id}") == "" })
	ran := m.ran()
	assert.Len(t, ran, thousand)
	slices.Sort(ran)
	assert.Len(t, slices.Compact(ran), thousand, "none twice")
	results := map[string]int{}
	for _, result := range strings.Fields(m.flux("jobs", "-a", "-c0", "-no", "{result}")) {
		results[result]++
	}
	assert.Equal(t, thousand, results["COMPLETED"], "%v", results)
	assert.Len(t, slices.Collect(maps.Keys(results)), 2, "%v", results)
}

// pods gives the pods less than one CPU, a directory of the node, and the Flux.
func (in flux) pods(dir string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Interactive, mc.Spec.MaxSize = true, 2
		mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: in.root}
		c := &mc.Spec.Containers[0]
		c.Image, c.Command = testimages.Flux, ""
		c.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("400m")}}
		c.Volumes = map[string]v1alpha2.ContainerVolume{"state": {Path: filepath.Dir(archivePath), HostPath: dir}}
		maps.Copy(c.Volumes, in.volumes)
	}
}

// submitAll lets a job occupy the cluster, and submits the jobs that wait for it.
func (m *many) submitAll(in flux) {
	m.Helper()
	m.flux("submit", "-N2", "--exclusive", "sleep", "3600")
	m.eventuallyFile("a running job", func() bool { return m.flux("jobs", "-no", "{state}") == "RUN" })
	const job = "[ $FLUX_TASK_RANK != 0 ] || echo $FLUX_JOB_ID >>/state/ran"
	if in.volumes != nil {
		for _, size := range jobSizes() {
			m.flux("submit", "--quiet", fmt.Sprintf("--cc=1-%d", thousand/len(jobSizes())), size, "sh", "-c", job)
		}
		return
	}
	// The stand-in has no option for several copies of a job.
	const loop = `i=0; while [ $i -lt $1 ]; do ` + plan.AgentPath + ` flux -- submit "$2" sh -c "$3" >/dev/null || exit; i=$((i+1)); done`
	for _, size := range jobSizes() {
		m.exec("sh", "-c", loop, "sh", strconv.Itoa(thousand/len(jobSizes())), size, job)
	}
}

// flux runs a flux command in the lead's pod.
func (m *many) flux(args ...string) string {
	m.Helper()
	return m.exec(append([]string{plan.AgentPath, "flux", "--"}, args...)...)
}

// exec runs a program in the lead's pod.
func (m *many) exec(command ...string) string {
	m.Helper()
	out, err := onNode.node.Exec(m.Context(), m.Namespace, m.LeadPod("low"), "", command...)
	require.NoError(m, err)
	return strings.TrimSpace(out)
}

// ran returns the jobs that have run.
func (m *many) ran() []string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "ran")) // no job has run if it does not exist
	return strings.Fields(string(text))
}

func (m *many) eventuallyFile(what string, done func() bool) {
	m.Helper()
	m.Eventually(what, func(context.Context) (string, error) {
		if !done() {
			return "not yet", nil
		}
		return "", nil
	})
}

// describePods returns what describe does, and the logs of the pods.
func (m *many) describePods() string {
	text, err := m.Cluster.Kubectl(context.WithoutCancel(m.Context()), "logs", "--namespace="+m.Namespace, "--selector="+user.Selector("low"),
		"--all-containers", "--prefix", "--tail=40", "--ignore-errors")
	return fmt.Sprint(m.describe(), text, err)
}
