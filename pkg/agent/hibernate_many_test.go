package agent

import (
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
// are woken at 8 of 8, all complete, and none runs twice. All belong to one user: several users need flux-security.
func TestHibernateManyRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		s := newSleeper(t, 2, 4, false)
		s.online()
		running := s.hold(2)
		for _, size := range []string{"-n1", "-n2", "-N1", "-N2"} {
			s.run("submit", "--quiet", "--cc=1-250", size, "sh", "-c", "[ $FLUX_TASK_RANK != 0 ] || echo $FLUX_JOB_ID >>"+s.dir+"/ran")
		}
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
		s.eventually("the end of all jobs", func() bool { return s.run("jobs", "-no", "{id}") == "" })
		t.Logf("MEASURED from the start of the lead to the last job: %v", time.Since(begin).Round(time.Millisecond))
		ran := s.ran()
		unique := map[string]bool{}
		for _, id := range ran {
			unique[id] = true
		}
		assert.Len(t, ran, 1000)
		assert.Len(t, unique, 1000, "none twice")
		results := map[string]int{}
		for _, result := range strings.Fields(s.run("jobs", "-a", "-c0", "-no", "{result}")) {
			results[result]++
		}
		assert.Equal(t, map[string]int{"COMPLETED": 1001}, results)
	})
}
