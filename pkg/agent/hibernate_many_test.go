package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// manyTimeout limits the run of a thousand jobs on eight brokers of one machine.
const manyTimeout = 15 * time.Minute

// TestHibernateManyRealFlux checks that a thousand pending jobs of several sizes, which hibernate at size 2 of 4 and
// are woken at 8 of 8, all complete, and none runs twice.
func TestHibernateManyRealFlux(t *testing.T) {
	sizes := []string{"-n1", "-n2", "-N1", "-N2"}
	t.Run("one user", func(t *testing.T) {
		inFluxNet(t, func(t *testing.T) {
			s := newSleeper(t, 2, 4, false)
			hibernateMany(t, s, func(job string) {
				for _, size := range sizes {
					s.run("submit", "--quiet", "--cc=1-250", size, "sh", "-c", job)
				}
			})
		})
	})
	t.Run("two users", func(t *testing.T) {
		needSecurity(t)
		inFluxNet(t, func(t *testing.T) {
			users := []string{"ada", "grace"}
			s := newUsersSleeper(t, 2, 4, users...)
			hibernateMany(t, s, func(job string) {
				for _, user := range users {
					for _, size := range sizes {
						s.runAs(user, "submit", "--quiet", "--cc=1-125", size, "sh", "-c", "[ $(id -un) = "+user+" ] || exit 9; "+job)
					}
				}
			})
			assert.Equal(t, []int{500, 500}, []int{
				len(strings.Fields(s.run("jobs", "-a", "-c0", "-no", "{id}", "--user=ada"))), len(strings.Fields(s.run("jobs", "-a", "-c0", "-no", "{id}", "--user=grace"))),
			})
		})
	})
}

// hibernateMany hibernates and wakes a cluster of two pods with the thousand jobs that a function submits. Each runs a
// shell command.
func hibernateMany(t *testing.T, s *sleeper, submit func(job string)) {
	t.Helper()
	s.online()
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "ran"), nil, 0o666))
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "ran"), 0o666))
	running := s.hold(2)
	submit("[ $FLUX_TASK_RANK != 0 ] || echo $FLUX_JOB_ID >>" + s.dir + "/ran")
	state := s.until(control.PhaseDraining, later())
	assert.Equal(t, []int{1, 1000}, []int{state.Running, state.Pending})
	s.finish()
	s.eventually("no running job", func() bool { return s.run("jobs", "-no", "{state}", running) == "INACTIVE" })
	begin := time.Now()
	state = s.until(control.PhaseSaved, later())
	t.Logf("MEASURED from the request to Saved: %v, %d bytes, demand %d", time.Since(begin).Round(time.Millisecond), state.Bytes, state.Demand)
	assert.Equal(t, 1000, state.Pending)
	s.remove()
	assert.Empty(t, s.ran())

	begin = time.Now()
	s.again(8, 8, false, "job-1")
	s.eventually("the first job", func() bool { return s.read("ran") != "" })
	t.Logf("MEASURED from the start of the lead to the first job: %v", time.Since(begin).Round(time.Millisecond))
	require.Eventually(t, func() bool { return strings.Count(s.read("ran"), "\n") >= 1000 }, manyTimeout, time.Second)
	s.eventually("the end of all jobs", func() bool { return s.run("jobs", "-A", "-no", "{id}") == "" })
	t.Logf("MEASURED from the start of the lead to the last job: %v", time.Since(begin).Round(time.Millisecond))
	ran := s.ran()
	unique := map[string]bool{}
	for _, id := range ran {
		unique[id] = true
	}
	assert.Len(t, ran, 1000)
	assert.Len(t, unique, 1000, "none twice")
	results := map[string]int{}
	for _, result := range strings.Fields(s.run("jobs", "-a", "-A", "-c0", "-no", "{result}")) {
		results[result]++
	}
	assert.Equal(t, map[string]int{"COMPLETED": 1001}, results)
}
