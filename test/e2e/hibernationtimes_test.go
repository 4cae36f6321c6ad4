package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/testimages"
	"minicluster.internal/operator/test/framework/user"
)

// manyJobs is the number of jobs that are pending when the cluster hibernates.
const manyJobs = 1000

// floorJob has pods that are as ready as those of an idle MiniCluster, without an agent and Flux. It takes the size.
const floorJob = `
apiVersion: batch/v1
kind: Job
metadata: {name: plain}
spec:
  completions: %[1]d
  parallelism: %[1]d
  completionMode: Indexed
  template:
    metadata: {labels: {app: plain}}
    spec:
      restartPolicy: Never
      containers:
        - name: plain
          image: ` + fluxImage + `
          command: [busybox, sh, -c, "trap 'exit 143' TERM; mkdir -p /tmp/www; echo ok >/tmp/www/readyz; busybox httpd -f -p 9560 -h /tmp/www & wait"]
          readinessProbe: {httpGet: {path: /readyz, port: 9560}, periodSeconds: 1, timeoutSeconds: 3}
          resources: {requests: {cpu: 50m}}
`

// TestHibernationTimesRealFlux measures how long a hibernation and the wake take with the real Flux and many pending
// jobs, beside the start and the end of a plain Job of the same size. All jobs run, none twice.
func TestHibernationTimesRealFlux(t *testing.T) {
	root, volumes, ok := testimages.MachineFlux()
	if !ok {
		t.Skip("measures the real Flux, and there is none on PATH")
	}
	kube := suite.Node(t)
	m := &hibernationTimes{Fixture: fixtureIn(t, kube, clustertest.Namespace(t, kube.Cluster)), kube: kube, dir: t.TempDir()}
	m.Patience = 10 * time.Minute
	require.NoError(t, os.Chmod(m.dir, 0o777))
	m.plain(2)
	m.plain(4)
	volumes["state"] = v1alpha2.ContainerVolume{Path: "/state", HostPath: m.dir}
	m.create(root, volumes)
	m.submit()
	m.hibernate()
	m.wake()
	m.plain(4)
}

type hibernationTimes struct {
	*user.Fixture
	kube *node.Node
	// dir is mounted at /state.
	dir string
}

// measured logs a time and the load of the machine.
func (m *hibernationTimes) measured(what string, since time.Time) {
	m.Helper()
	load, err := os.ReadFile("/proc/loadavg")
	require.NoError(m, err)
	m.Logf("MEASURED %s: %.1f s, load average %s", what, time.Since(since).Seconds(), strings.Fields(string(load))[0])
}

// plain measures the start and the end of a Job.
func (m *hibernationTimes) plain(size int) {
	m.Helper()
	begin := time.Now()
	m.Apply(fmt.Sprintf(floorJob, size))
	m.WaitForPods("app=plain", areReady(size))
	m.measured(fmt.Sprintf("a plain Job of %d pods, until they are ready", size), begin)
	begin = time.Now()
	m.Kubectl("delete", "job", "plain", "--wait=false")
	m.WaitForPods("app=plain", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	m.measured(fmt.Sprintf("a plain Job of %d pods, from its deletion until they are gone", size), begin)
}

// create creates a cluster of two pods.
func (m *hibernationTimes) create(root string, volumes map[string]v1alpha2.ContainerVolume) {
	m.Helper()
	begin := time.Now()
	m.Create("many", 2, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MaxSize, mc.Spec.Interactive = 4, true
		mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: root}
		mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/archive.tar.gz"}
		mc.Spec.Hibernation = &v1alpha2.Hibernation{GracePeriodSeconds: new(int32(1))}
		c := &mc.Spec.Containers[0]
		c.Image, c.Command, c.Volumes = fluxImage, "", maps.Clone(volumes)
	})
	m.WaitFor("many", m.Ready(2))
	m.measured("a MiniCluster of 2 pods, until they are ready", begin)
}

// submit lets a job occupy the cluster, and submits jobs of several sizes that wait for it.
func (m *hibernationTimes) submit() {
	m.Helper()
	m.flux("submit", "-N2", "--exclusive", "sleep", "3600")
	m.eventually("a running job", func() bool { return m.flux("jobs", "-no", "{state}") == "RUN" })
	sizes := []string{"-n1", "-n2", "-N1", "-N2"}
	for _, size := range sizes {
		m.flux("submit", "--quiet", fmt.Sprintf("--cc=1-%d", manyJobs/len(sizes)), size, "sh", "-c", "[ $FLUX_TASK_RANK != 0 ] || echo $FLUX_JOB_ID >>/state/ran")
	}
}

// hibernate suspends the cluster. The job that runs is canceled after a second.
func (m *hibernationTimes) hibernate() {
	m.Helper()
	begin := time.Now()
	m.Patch("many", map[string]any{"spec": map[string]any{"suspend": true}})
	mc := m.WaitFor("many", user.HasReason(v1alpha2.ConditionHibernated, v1alpha2.ReasonHibernated))
	m.measured("from suspend: true until the state is saved and the Job is deleted", begin)
	m.WaitForPods(user.Selector("many"), func(pods []corev1.Pod) bool { return len(pods) == 0 })
	m.measured("from suspend: true until there are no pods", begin)
	assert.EqualValues(m, manyJobs, mc.Status.Hibernation.Jobs.Pending)
	assert.Empty(m, m.ran())
}

// wake wakes the cluster at twice the size.
func (m *hibernationTimes) wake() {
	m.Helper()
	begin := time.Now()
	m.Patch("many", map[string]any{"spec": map[string]any{"suspend": false, "size": 4}})
	m.eventually("the first job", func() bool { return len(m.ran()) > 0 })
	m.measured("from suspend: false until the first job runs, at size 4", begin)
	m.WaitFor("many", m.Ready(4))
	m.measured("from suspend: false until 4 pods are ready", begin)
	m.eventually("all jobs", func() bool { return len(m.ran()) >= manyJobs })
	m.eventually("the end of all jobs", func() bool { return m.flux("jobs", "-no", "{id}") == "" })
	m.measured("from suspend: false until the last job has ended", begin)
	unique := map[string]bool{}
	for _, id := range m.ran() {
		unique[id] = true
	}
	assert.Equal(m, []int{manyJobs, manyJobs}, []int{len(m.ran()), len(unique)})
	m.Kubectl("delete", "minicluster", "many")
}

// flux runs a flux command in the lead's pod.
func (m *hibernationTimes) flux(args ...string) string {
	m.Helper()
	out, err := m.kube.Exec(m.Context(), m.Namespace, m.LeadPod("many"), "", append([]string{agent, "flux", "--"}, args...)...)
	require.NoError(m, err)
	return strings.TrimSpace(out)
}

// ran returns the jobs that have run.
func (m *hibernationTimes) ran() []string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "ran")) // no job has run if it does not exist
	return strings.Fields(string(text))
}

func (m *hibernationTimes) eventually(what string, done func() bool) {
	m.Helper()
	m.Eventually(what, func(context.Context) (string, error) {
		if done() {
			return "", nil
		}
		return "not yet", nil
	})
}
