package agent

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// twoQueues configures the queues batch, which is the default, and debug.
const twoQueues = `
[queues.batch]
[queues.debug]
[policy.jobspec.defaults.system]
queue = "batch"
`

// startQueues starts the pods of a Job of two pods with two queues.
func (s *sleeper) startQueues(volume bool, incarnation string) {
	s.t.Helper()
	s.configure(2, 2, volume, incarnation)
	file := filepath.Join(s.dir, plan.FileBrokerTOML)
	text, err := os.ReadFile(file)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(file, append(text, twoQueues...), 0o444))
	s.startPods(2)
}

// described returns the attributes of jobs that a hibernation must not change.
func (s *sleeper) described(ids ...string) string {
	s.t.Helper()
	return s.run(append([]string{"jobs", "-no", "{id.dec} {name} {queue} {urgency} {priority} {t_submit} {dependencies} {annotations.user.note}"}, ids...)...)
}

// TestHibernateKeepsRealFlux checks what Flux keeps of pending and ended jobs, the KVS, queues and drained nodes.
// docs/hibernation.md lists it.
func TestHibernateKeepsRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		for _, volume := range []bool{false, true} {
			t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
				s := &sleeper{fluxCluster: newFluxCluster(t, 2, 60)}
				s.startQueues(volume, "")
				s.online()
				s.run("queue", "start", "--all") // Flux starts no named queue by itself
				ended := s.run("submit", "-n1", "--job-name=ended", "echo", "of the job")
				s.run("job", "wait-event", "-t60", ended, "clean")
				s.run("kvs", "put", "mine.answer=42")
				s.hold(2)
				note := func(name string) string { return "echo " + name + " >>" + s.dir + "/order" }
				usual := s.run("submit", "-N2", "--exclusive", "--job-name=usual", "--setattr=user.project=x", "sh", "-c", "[ $FLUX_TASK_RANK != 0 ] || "+note("usual"))
				s.run("job", "memo", usual, "note=kept")
				dependent := s.run("submit", "-n1", "--job-name=dependent", "--urgency=31", "--dependency=afterok:"+usual, "sh", "-c", note("dependent"))
				urgent := s.run("submit", "-N2", "--exclusive", "--job-name=urgent", "--urgency=20", "sh", "-c", "[ $FLUX_TASK_RANK != 0 ] || "+note("urgent"))
				later1 := s.run("submit", "-n1", "--job-name=later", "--begin-time=+1h", "true")
				held := s.run("submit", "-n1", "--job-name=held", "--urgency=hold", "true")
				other := s.run("submit", "-n1", "--job-name=other", "-q", "debug", "sh", "-c", note("other"))
				s.run("queue", "stop", "-q", "debug")
				if _, err := s.flux(0, "queue", "disable", "-q", "debug", "maintenance"); err != nil { // Flux before 0.64
					s.run("queue", "disable", "--message=maintenance", "debug")
				}
				s.run("resource", "drain", "1", "broken fan")
				before := s.described(usual, dependent, urgent, later1, held, other)
				t.Log("MEASURED", strings.ReplaceAll(before, "\n", " | "))

				s.until(control.PhaseDraining, later())
				s.finish()
				s.until(control.PhaseSaved, later())
				s.remove()
				s.startQueues(volume, "job-1")
				s.eventually("the end of the hibernation", func() bool { return !s.marker() })

				assert.Equal(t, before, s.described(usual, dependent, urgent, later1, held, other))
				assert.Equal(t, "of the job", s.run("job", "attach", ended))
				assert.Equal(t, "42", s.run("kvs", "get", "mine.answer"))
				assert.Equal(t, "ended INACTIVE", s.run("jobs", "-no", "{name} {state}", ended))
				assert.Equal(t, "1 broken fan", s.run("resource", "drain", "-no", "{ranks} {reason}"))
				s.run("resource", "undrain", "1")
				s.eventually("the jobs of the queue that is started", func() bool { return strings.Count(s.read("order"), "\n") >= 3 })
				assert.Equal(t, "urgent\nusual\ndependent\n", s.read("order"))
				s.eventually("their end", func() bool { return s.run("jobs", "-f", "running", "-no", "{id}") == "" })
				left := strings.Fields(s.run("jobs", "-f", "pending", "-no", "{name}"))
				assert.ElementsMatch(t, []string{"later", "held", "other"}, left)
				out, err := s.flux(0, "submit", "-q", "debug", "-n1", "true")
				require.Error(t, err)
				assert.Contains(t, out, "maintenance")
				s.run("queue", "start", "-q", "debug")
				s.eventually("the job of the stopped queue", func() bool { return strings.HasSuffix(s.read("order"), "other\n") })
				assert.Equal(t, "ended\n", s.read("held"))
			})
		}
	})
}

// TestHibernateSignaturesRealFlux checks that a job of a user fails if its signature expires before it starts, and that
// jobs of the owner of the instance have no signature that expires.
func TestHibernateSignaturesRealFlux(t *testing.T) {
	needSecurity(t)
	inFluxNet(t, func(t *testing.T) {
		const lifetime = 40 * time.Second
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.installRoot, s.users = needSecurity(t), []string{"ada"}
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "munge.key"), []byte(rand.Text()+rand.Text()), 0o444))
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "sign.toml"),
			fmt.Appendf(nil, "[sign]\nmax-ttl = %d\ndefault-type = \"munge\"\nallowed-types = [\"munge\"]\n", int(lifetime.Seconds())), 0o444))
		s.again(1, 1, false, "")
		s.online()
		s.hold(1)
		begin := time.Now()
		expires := s.runAs("ada", "submit", "-n1", "true")
		owners := s.run("submit", "-n1", "true")
		s.until(control.PhaseDraining, later())
		s.finish()
		s.until(control.PhaseSaved, later())
		s.remove()
		<-time.After(time.Until(begin.Add(lifetime + 2*time.Second))) // Flux counts in seconds
		s.again(1, 1, false, "job-1")
		s.eventually("the end of the jobs", func() bool {
			return !s.marker() && s.run("jobs", "-A", "-no", "{id}") == ""
		})
		assert.Equal(t, "COMPLETED", s.run("jobs", "-no", "{result}", owners))
		assert.Equal(t, "FAILED", s.run("jobs", "-no", "{result}", expires))
		why, _ := s.flux(0, "job", "attach", expires) // with the job's exit code
		t.Log("MEASURED", strings.ReplaceAll(why, "\n", " | "), strings.ReplaceAll(s.run("job", "eventlog", "-p", "exec", expires), "\n", " | "))
		assert.Contains(t, why, "max-ttl exceeded")
	})
}
