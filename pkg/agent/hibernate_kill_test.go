package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// wokenOnce wakes a cluster with a new Job, and checks that exactly these jobs run, once each.
func (s *sleeper) wokenOnce(size int, volume bool, ids []string) {
	s.t.Helper()
	s.again(size, 4, volume, "another Job")
	s.eventually("all jobs", func() bool { return len(s.ran()) >= len(ids) })
	s.eventually("the end of the jobs", func() bool {
		out, err := s.flux(0, "jobs", "-no", "{id}")
		return err == nil && strings.TrimSpace(out) == ""
	})
	assert.Equal(s.t, sorted(ids), s.ran())
	assert.False(s.t, s.marker())
}

// TestHibernateKilledWhileDraining kills all pods while a job still runs: the pending jobs are saved, and the job that
// ran does not run again.
func TestHibernateKilledWhileDraining(t *testing.T) {
	for _, volume := range []bool{false, true} {
		t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s := newSleeper(t, 1, 4, volume)
				s.online()
				s.hold(1)
				ids := s.submit(3)
				s.until(control.PhaseDraining, later())
				s.eventually("what a lost lead needs", func() bool {
					return volume && strings.Count(s.read("state/content.sqlite"), "FLUX_JOB_ID") == len(ids) || s.read("archive.tar.gz") != ""
				})
				s.kill()
				s.startPods(1)
				state := s.until(control.PhaseSaved, later())
				assert.Positive(t, state.Bytes)
				s.remove()
				assert.Empty(t, s.ran())
				s.wokenOnce(2, volume, ids)
				assert.Empty(t, s.read("held"))
			})
		})
	}
}

// TestHibernateKilledContainer kills the lead's container while jobs run. Its state directory survives: the next broker
// runs no job and no program, and saves what the directory has.
func TestHibernateKilledContainer(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.configure(1, 4, false, "")
		s.plan.Files.StateDir = filepath.Join(s.dir, "emptydir")
		require.NoError(t, os.Mkdir(s.plan.Files.StateDir, 0o700))
		s.startPods(1)
		s.online()
		s.hold(1)
		s.until(control.PhaseDraining, later())
		ids := s.submit(3) // not in the archive from the beginning
		s.eventually("a checkpoint", func() bool { return strings.Count(s.read("emptydir/content.sqlite"), "FLUX_JOB_ID") == 3 })
		s.kill()
		s.startPods(1)
		s.online()
		assert.Len(t, strings.Fields(s.run("jobs", "-ano", "{id}")), 4, "the broker runs, without its jobs")
		assert.Empty(t, s.ran())
		s.until(control.PhaseSaved, later())
		s.remove()
		require.NoError(t, os.RemoveAll(s.plan.Files.StateDir))
		s.wokenOnce(2, false, ids)
	})
}

// TestHibernateKilledWhileSaving kills the lead at the steps of saving. A partial archive that is complete is used, one
// that is not is ignored.
func TestHibernateKilledWhileSaving(t *testing.T) {
	for name, complete := range map[string]bool{"complete": true, "truncated": false} {
		t.Run(name, func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s := newSleeper(t, 1, 4, false)
				s.online()
				s.hold(1)
				ids := s.submit(3)
				s.finish()
				s.run("queue", "stop")
				state := s.until(control.PhaseSaved, later())
				s.kill()

				// As it was before the archive got its name.
				archive := filepath.Join(s.dir, "archive.tar.gz")
				part := filepath.Join(s.dir, ".partial-hibernation-archive.tar.gz")
				text, err := os.ReadFile(archive)
				require.NoError(t, err)
				if complete {
					require.NoError(t, os.Rename(archive, part))
				} else {
					require.NoError(t, os.WriteFile(part, text[:len(text)/2], 0o600))
				}
				s.changeRecord(func(r *hibernate.Record) { r.State.Phase = control.PhaseSaving })
				s.startPods(1)
				again := s.until(control.PhaseSaved, later())
				assert.Equal(t, state.Checksum, again.Checksum)
				s.remove()
				s.again(2, 4, false, "another Job")
				s.eventually("a woken instance", func() bool { return !s.marker() && strings.TrimSpace(s.ready()) == "ok" })
				s.run("queue", "start") // the user had stopped it
				s.eventually("all jobs", func() bool { return len(s.ran()) >= len(ids) })
				assert.Equal(t, sorted(ids), s.ran())
			})
		})
	}
}

// changeRecord changes the record of the hibernation.
func (s *sleeper) changeRecord(change func(*hibernate.Record)) {
	s.t.Helper()
	file := filepath.Join(s.dir, "archive.tar.gz.hibernation")
	r, err := hibernate.Read(file)
	require.NoError(s.t, err)
	require.NotNil(s.t, r)
	change(r)
	text, err := json.Marshal(r)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(file, text, 0o644))
}

// TestHibernateKilledWhenSaved kills the lead between the phase Saved and the end of the Job: the next one starts no
// job, until the controller cancels the hibernation.
func TestHibernateKilledWhenSaved(t *testing.T) {
	for _, volume := range []bool{false, true} {
		t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s := newSleeper(t, 1, 4, volume)
				s.online()
				s.hold(1)
				ids := s.submit(2)
				s.until(control.PhaseDraining, later())
				s.finish()
				state := s.until(control.PhaseSaved, later())
				s.kill()
				s.startPods(1)
				again := s.until(control.PhaseSaved, later())
				assert.Equal(t, state, again)
				_, err := s.flux(0, "jobs")
				require.Error(t, err, "there is no broker")
				assert.Empty(t, s.ran())

				s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
				s.eventually("all jobs", func() bool { return len(s.ran()) == 2 })
				assert.Equal(t, sorted(ids), s.ran())
				assert.False(t, s.marker())
				s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
			})
		})
	}
}

// TestHibernateKilledWhileWaking kills the lead of the new Job before its queues are started: jobs run once.
func TestHibernateKilledWhileWaking(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 4, false)
		s.online()
		s.hold(1)
		ids := s.submit(3)
		s.until(control.PhaseDraining, later())
		s.finish()
		s.until(control.PhaseSaved, later())
		s.remove()
		s.configure(2, 4, false, "another Job")
		s.startPods(1) // its quorum is 2
		s.eventually("a lead that waits", func() bool { return strings.Contains(s.ready(), "quorum") })
		s.kill()
		assert.True(t, s.marker())
		s.wokenOnce(2, false, ids)
	})
}

// TestHibernateCanceled checks that the work continues when the hibernation is canceled while a job runs.
func TestHibernateCanceled(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 4, true)
		s.online()
		s.hold(1)
		ids := s.submit(2)
		s.until(control.PhaseDraining, later())
		s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
		assert.False(t, s.marker())
		s.finish()
		s.eventually("all jobs", func() bool { return len(s.ran()) == 2 })
		assert.Equal(t, sorted(ids), s.ran())
	})
}

// TestHibernateCanceledAfterRestart checks that the work continues when the lead restarts after it stopped the queues,
// and the hibernation is canceled then.
func TestHibernateCanceledAfterRestart(t *testing.T) {
	for _, volume := range []bool{false, true} {
		t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s := newSleeper(t, 1, 4, volume)
				s.online()
				held := s.hold(1)
				ids := s.submit(3)
				s.until(control.PhaseDraining, later())
				s.eventually("what a lost lead needs", func() bool {
					return volume && strings.Count(s.read("state/content.sqlite"), "FLUX_JOB_ID") == len(ids) || s.read("archive.tar.gz") != ""
				})
				s.kill()
				s.startPods(1)
				s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
				assert.False(t, s.marker())
				s.eventually("all jobs", func() bool { return len(s.ran()) == len(ids) })
				assert.Equal(t, sorted(ids), s.ran())
				assert.NotEqual(t, "COMPLETED", s.run("jobs", "-no", "{result}", held))
				state, err := s.request(control.Hibernate{Query: true})
				require.NoError(t, err)
				assert.Equal(t, control.PhaseRunning, state.Phase)
			})
		})
	}
}

// TestHibernateFullVolume checks that the instance survives an archive that cannot be written.
func TestHibernateFullVolume(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		volume := filepath.Join(s.dir, "volume")
		require.NoError(t, os.Mkdir(volume, 0o777))
		require.NoError(t, unix.Mount("tmpfs", volume, "tmpfs", 0, "size=128k,mode=0777"))
		t.Cleanup(func() { assert.NoError(t, unix.Unmount(volume, unix.MNT_DETACH)) })
		s.configure(1, 4, false, "")
		s.plan.Archive.Path = filepath.Join(volume, "archive.tar")
		s.startPods(1)
		s.online()
		s.run("queue", "stop")
		ids := s.submit(8)
		// Too little for the archive, but enough for the record.
		fill := filepath.Join(volume, "fill")
		require.NoError(t, os.WriteFile(fill, make([]byte, 128<<10-8<<10), 0o644))
		state := s.until(control.PhaseFailed, later())
		assert.Contains(t, state.Message, "no space left on device")
		assert.NoFileExists(t, s.plan.Archive.Path)
		s.online()
		assert.Len(t, strings.Fields(s.run("jobs", "-no", "{id}")), len(ids), "the instance has its jobs")
		state, err := s.request(control.Hibernate{Idle: true})
		require.NoError(t, err)
		assert.Equal(t, []any{control.PhaseDraining, ""}, []any{state.Phase, state.Message}, "the controller has to cancel, so that the jobs run")
		require.NoError(t, os.Remove(fill))
		state = s.until(control.PhaseSaved, later())
		assert.Equal(t, len(ids), state.Pending)
		assert.Empty(t, s.ran())
	})
}

// TestHibernateDiscard checks that a cluster that keeps nothing wakes without jobs, and that nothing is deleted.
func TestHibernateDiscard(t *testing.T) {
	for _, volume := range []bool{false, true} {
		t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
			withStandIn(t, func(t *testing.T) {
				s := newSleeper(t, 1, 4, volume)
				s.online()
				s.run("queue", "stop")
				s.submit(2)
				state := s.until(control.PhaseSaved, control.Hibernate{Discard: true})
				assert.Equal(t, []any{2, int64(0), ""}, []any{state.Pending, state.Bytes, state.Location})
				s.remove()
				s.again(1, 4, volume, "another Job")
				s.online()
				assert.Empty(t, s.run("jobs", "-ano", "{id}"))
				s.eventually("the end of the hibernation", func() bool { return !s.marker() })
				if volume {
					assert.FileExists(t, filepath.Join(s.dir, "state", "discarded-content.sqlite"))
				}
			})
		})
	}
}

// TestHibernateWithoutState checks that a cluster that has neither an archive nor a volume stops nevertheless, and that
// it can continue until its pods are deleted.
func TestHibernateWithoutState(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.layout(1, 1, 60)
		s.plan.Lead = plan.Program{Mode: plan.ModeNone, Tasks: 1}
		s.startPods(1)
		s.online()
		state := s.until(control.PhaseSaved, later())
		assert.Equal(t, []any{int64(0), "", ""}, []any{state.Bytes, state.Location, state.Message})
		s.until(control.PhaseRunning, control.Hibernate{Cancel: true})
		s.online()
	})
}

// TestRestoreFrom checks that a MiniCluster starts from the archive of another one, and writes nothing there.
func TestRestoreFrom(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, false)
		s.online()
		s.hold(1)
		ids := s.submit(2)
		s.until(control.PhaseDraining, later())
		s.finish()
		s.until(control.PhaseSaved, later())
		s.remove()
		from := filepath.Join(s.dir, "from")
		require.NoError(t, os.Mkdir(from, 0o755))
		for _, name := range []string{"archive.tar.gz", "archive.tar.gz.hibernation"} {
			require.NoError(t, os.Rename(filepath.Join(s.dir, name), filepath.Join(from, name)))
		}
		require.NoError(t, unix.Mount(from, from, "", unix.MS_BIND, ""))
		t.Cleanup(func() { assert.NoError(t, unix.Unmount(from, unix.MNT_DETACH)) })
		require.NoError(t, unix.Mount("", from, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))

		s.configure(2, 4, false, "")
		s.plan.Archive.RestoreFrom = filepath.Join(from, "archive.tar.gz")
		s.startPods(2)
		s.eventually("all jobs", func() bool { return len(s.ran()) >= 2 })
		assert.Equal(t, sorted(ids), s.ran())
		s.until(control.PhaseSaved, later())
		assert.FileExists(t, s.plan.Archive.Path, "its own archive")
		s.remove()

		s.configure(1, 1, false, "another Job")
		s.plan.Archive.Path += "x"
		s.plan.Archive.RestoreFrom = filepath.Join(from, "missing.tar.gz")
		s.start(0)
		assert.NotEqual(t, 0, s.wait(0), "a missing archive is not an empty one")
		assert.Contains(t, s.read("log-0"), "missing.tar.gz does not exist")
	})
}

// TestHibernateProgram checks that a program that fails because its job was canceled at the deadline does not end the
// pod, and that it runs again when the cluster wakes.
func TestHibernateProgram(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.configure(1, 4, false, "")
		s.plan.Lead = plan.Program{Mode: plan.ModeLauncher, Tasks: 1, Command: "echo run >>$SHARED/runs; flux run sleep 1000"}
		s.startPods(1)
		s.online()
		s.eventually("its job", func() bool { return s.run("jobs", "-no", "{state}") == "RUN" })
		state := s.until(control.PhaseSaved, control.Hibernate{Deadline: time.Now()})
		assert.Len(t, state.Canceled, 1)
		assert.Positive(t, state.Bytes)
		select {
		case <-s.ended[0]:
			t.Fatal("the pod has ended")
		default:
		}
		lead := s.plan.Lead
		s.remove()
		s.configure(1, 4, false, "another Job")
		s.plan.Lead = lead
		s.startPods(1)
		s.eventually("the second run", func() bool { return s.read("runs") == "run\nrun\n" })
		s.eventually("the end of the hibernation", func() bool { return !s.marker() })
	})
}
