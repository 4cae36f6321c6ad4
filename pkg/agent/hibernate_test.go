package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

var buildStandIn = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "fakeflux-") // other users cannot read t.TempDir
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "flux"), "../../test/framework/fakeflux") //nolint:noctx // as long as the tests
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the stand-in for Flux: %w: %s", err, out)
	}
	return dir, nil
})

// eachFlux runs a test in pods with the stand-in for Flux, and with the real one if it is installed.
func eachFlux(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) { withStandIn(t, f) })
	t.Run("real", func(t *testing.T) { inFluxNet(t, f) })
}

func withStandIn(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(envFluxNet) == "" {
		dir, err := buildStandIn()
		require.NoError(t, err)
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		t.Cleanup(func() { removeStandIn = dir })
	}
	inFluxNet(t, f)
}

// removeStandIn is the directory that TestMain removes.
var removeStandIn string

// sleeper is a cluster whose lead answers the controller.
type sleeper struct {
	*fluxCluster
	client *control.Client
}

// newSleeper starts an interactive cluster with an archive, or with its state on a volume.
func newSleeper(t *testing.T, size, maxSize int, volume bool) *sleeper {
	t.Helper()
	s := &sleeper{fluxCluster: newFluxCluster(t, maxSize, 60)}
	s.again(size, maxSize, volume, "")
	return s
}

// newUsersSleeper starts a cluster with an archive and further users, whose jobs flux-security starts.
func newUsersSleeper(t *testing.T, size, maxSize int, users ...string) *sleeper {
	t.Helper()
	s := &sleeper{fluxCluster: newFluxCluster(t, maxSize, 60)}
	s.installRoot, s.users = needSecurity(t), users
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "munge.key"), []byte(rand.Text()+rand.Text()), 0o444))
	s.again(size, maxSize, false, "")
	return s
}

// needSecurity returns the prefix of the installed Flux. It skips a test without flux-security or munged.
func needSecurity(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("flux")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and an installed Flux")
	}
	prefix := filepath.Dir(filepath.Dir(path))
	if _, err := os.Stat(filepath.Join(prefix, "libexec/flux/flux-imp")); err != nil {
		t.Skip("needs flux-security in the prefix of the installed Flux, " + prefix)
	}
	if _, err := exec.LookPath("munged"); err != nil {
		t.Skip("needs munged")
	}
	return prefix
}

// runAs runs a flux command of a user of the cluster, which must succeed.
func (s *sleeper) runAs(user string, args ...string) string {
	s.t.Helper()
	words := append([]string{
		"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "env", "HOME=/home/" + user, "--chdir=/tmp", envMain + "=1", filepath.Join(s.dir, "agent"), "flux", "--",
	}, args...)
	out, err := s.inPod(s.t.Context(), 0, words...).CombinedOutput()
	require.NoError(s.t, err, "%s: flux %s: %s", user, strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

// again starts the pods of another Job.
func (s *sleeper) again(size, maxSize int, volume bool, incarnation string) {
	s.t.Helper()
	s.configure(size, maxSize, volume, incarnation)
	s.startPods(size)
}

// configure writes the configuration of another Job.
func (s *sleeper) configure(size, maxSize int, volume bool, incarnation string) {
	s.t.Helper()
	s.layout(size, maxSize, 60)
	s.plan.Lead = plan.Program{Mode: plan.ModeNone, Tasks: 1}
	s.plan.Incarnation = incarnation
	if volume {
		s.plan.StateVolume = filepath.Join(s.dir, "state")
		require.NoError(s.t, os.MkdirAll(s.plan.StateVolume, 0o700))
	} else {
		s.plan.Archive.Path = filepath.Join(s.dir, "archive.tar.gz")
	}
}

func (s *sleeper) startPods(size int) {
	s.t.Helper()
	s.client = s.startControlled(size)
}

// online waits until the instance runs.
func (s *sleeper) online() {
	s.t.Helper()
	s.eventually("an instance", func() bool { return strings.TrimSpace(s.ready()) == "ok" })
}

// kill kills all pods, as the loss of their nodes does.
func (s *sleeper) kill() {
	s.t.Helper()
	for i, pod := range s.pods {
		if pod != nil {
			_ = pod.Process.Kill()
			<-s.ended[i]
			s.pods[i] = nil
		}
	}
}

// remove removes all pods, as the deletion of the Job does.
func (s *sleeper) remove() {
	s.t.Helper()
	for i, pod := range s.pods {
		if pod != nil {
			require.NoError(s.t, pod.Process.Signal(syscall.SIGTERM))
			_ = i
		}
	}
	for i, pod := range s.pods {
		if pod != nil {
			s.wait(i)
			s.pods[i] = nil
		}
	}
}

// run runs a flux command that must succeed.
func (s *sleeper) run(args ...string) string {
	s.t.Helper()
	out, err := s.flux(0, args...)
	require.NoError(s.t, err, "flux %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(out)
}

// request sends a request to the lead.
func (s *sleeper) request(in control.Hibernate) (control.HibernateState, error) {
	return s.client.Hibernate(s.t.Context(), "127.0.0.1", int(control.Port(s.plan.HTTPPort)), in)
}

// later is a deadline that no test reaches.
func later() control.Hibernate { return control.Hibernate{Deadline: time.Now().Add(time.Hour)} }

// until repeats a request until the phase is reached.
func (s *sleeper) until(phase control.HibernatePhase, in control.Hibernate) control.HibernateState {
	s.t.Helper()
	var state control.HibernateState
	var err error
	require.Eventually(s.t, func() bool {
		state, err = s.request(in)
		return err == nil && state.Phase == phase
	}, patience, 50*time.Millisecond, "phase %s", phase)
	return state
}

// submit submits n jobs that record that they run.
func (s *sleeper) submit(n int, options ...string) []string {
	s.t.Helper()
	var ids []string
	for range n {
		args := append(append([]string{"submit"}, options...), "sh", "-c", "[ $FLUX_TASK_RANK != 0 ] || echo $FLUX_JOB_ID >>"+s.dir+"/ran")
		ids = append(ids, s.run(args...))
	}
	return ids
}

// ran returns the jobs that have run.
func (s *sleeper) ran() []string {
	return sorted(strings.Fields(s.read("ran")))
}

// sorted returns IDs in order. Flux prints them with an f in a locale without the character ƒ.
func sorted(ids []string) []string {
	out := []string{}
	for _, id := range ids {
		out = append(out, strings.Replace(id, "ƒ", "f", 1))
	}
	sort.Strings(out)
	return out
}

// marker reports whether the record of the hibernation exists.
func (s *sleeper) marker() bool {
	file := "archive.tar.gz.hibernation"
	if s.plan.StateVolume != "" {
		file = "state/minicluster.hibernation"
	}
	return s.read(file) != ""
}

// hold makes a job run on a number of nodes until the file end exists.
func (s *sleeper) hold(nodes int) string {
	id := s.run("submit", fmt.Sprintf("-N%d", nodes), "--exclusive", "sh", "-c",
		"while ! [ -e "+s.dir+"/end ]; do sleep 0.1; done; [ $FLUX_TASK_RANK != 0 ] || echo ended >>"+s.dir+"/held")
	s.eventually("a running job", func() bool { return s.run("jobs", "-no", "{state}", id) == "RUN" })
	return id
}

func (s *sleeper) finish() {
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o644))
}

// TestHibernate checks that pending jobs survive a hibernation, with their IDs, and run once at another size.
func TestHibernate(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		for _, volume := range []bool{false, true} {
			t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
				s := newSleeper(t, 2, 4, volume)
				s.online()
				running := s.hold(2)
				state, err := s.request(control.Hibernate{Query: true})
				require.NoError(t, err)
				assert.Equal(t, []any{control.PhaseRunning, 1, int64(0)}, []any{state.Phase, state.Running, state.IdleSeconds})
				assert.False(t, s.marker())
				ids := s.submit(3, "-N1")
				held := s.submit(1, "-N1", "--urgency=0")

				state = s.until(control.PhaseDraining, later())
				assert.Equal(t, 1, state.Running)
				assert.Equal(t, sorted([]string{running}), sorted(state.RunningIDs))
				late := s.submit(1, "-N2")
				s.finish()
				state = s.until(control.PhaseSaved, later())
				assert.Equal(t, []int{4, 1, 5}, []int{state.Pending, state.Held, state.Demand})
				assert.Empty(t, state.Canceled)
				assert.Positive(t, state.Bytes)
				if !volume {
					text, err := os.ReadFile(state.Location)
					require.NoError(t, err)
					sum := sha256.Sum256(text)
					assert.Equal(t, hex.EncodeToString(sum[:]), state.Checksum)
				}
				assert.True(t, s.marker())
				_, err = s.flux(0, "submit", "true")
				require.Error(t, err, "no job can be submitted that would be lost")
				again, err := s.request(later())
				require.NoError(t, err)
				assert.Equal(t, state, again, "idempotent")
				s.remove()

				s.again(4, 4, volume, "job-1")
				want := sorted(append(append([]string{}, ids...), late...))
				s.eventually("all jobs", func() bool { return len(s.ran()) >= len(want) })
				s.eventually("the end of the jobs", func() bool { return s.run("jobs", "-f", "running", "-no", "{id}") == "" })
				assert.Equal(t, want, s.ran(), "each pending job runs once, with its ID")
				assert.Equal(t, "ended\n", s.read("held"))
				assert.Equal(t, held[0], s.run("jobs", "-no", "{id}"), "the held job is still held")
				assert.False(t, s.marker())
				assert.Equal(t, control.PhaseRunning, s.until(control.PhaseRunning, control.Hibernate{Cancel: true}).Phase)
			})
		}
	})
}

// TestHibernateUndrainsNodes checks that a drain by a person survives a hibernation, and one because of a node does
// not: the pod is on another node, and the controller has no record of the drain.
func TestHibernateUndrainsNodes(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := newSleeper(t, 3, 3, false)
		s.online()
		s.run("resource", "drain", "1", control.NodeDrain{Node: "one", Reason: "the node is cordoned"}.Text())
		s.run("resource", "drain", "2", "broken fan")
		s.until(control.PhaseSaved, later())
		s.remove()
		s.again(3, 3, false, "job-1")
		s.eventually("the end of the hibernation", func() bool { return !s.marker() })
		assert.Equal(t, "2 broken fan", s.run("resource", "drain", "-no", "{ranks} {reason}"))
	})
}

// TestHibernateIdle checks that a cluster that hibernates because it is idle is not saved with a job that was submitted
// since: the controller cancels the hibernation, and the job runs.
func TestHibernateIdle(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, false)
		s.online()
		idle := control.Hibernate{Idle: true}
		state, err := s.request(control.Hibernate{Query: true})
		require.NoError(t, err)
		require.Zero(t, state.Pending)
		s.run("resource", "drain", "0", "so that the job stays pending")
		ids := s.submit(1)
		for range 3 {
			state := s.until(control.PhaseDraining, idle)
			assert.Equal(t, []int{0, 1}, []int{state.Running, state.Pending})
		}
		s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
		assert.False(t, s.marker())
		s.run("resource", "undrain", "0")
		s.eventually("the job", func() bool { return len(s.ran()) == 1 })
		assert.Equal(t, sorted(ids), s.ran())

		s.eventually("the end of the job", func() bool { return s.run("jobs", "-f", "running", "-no", "{id}") == "" })
		s.submit(1, "--urgency=0")
		assert.Equal(t, 1, s.until(control.PhaseSaved, idle).Held, "a held job does not keep the cluster from being idle")
	})
}

// TestHibernateDeadline checks that jobs that run at the deadline are canceled, listed, and do not run again.
func TestHibernateDeadline(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, false)
		s.online()
		running := s.hold(1)
		_, err := s.request(later())
		require.NoError(t, err)
		ids := s.submit(1)
		state := s.until(control.PhaseSaved, control.Hibernate{Deadline: time.Now().Add(time.Second)})
		assert.Equal(t, sorted([]string{running}), sorted(state.Canceled))
		s.remove()
		s.again(1, 1, false, "job-1")
		s.eventually("the pending job", func() bool { return len(s.ran()) == 1 })
		assert.Equal(t, sorted(ids), s.ran())
		assert.Empty(t, s.read("held"))
		assert.Equal(t, "CANCELED", s.run("jobs", "-no", "{status}", running))
	})
}
