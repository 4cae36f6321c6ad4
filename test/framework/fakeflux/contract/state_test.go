package contract

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A killed lead loses only changes since the last checkpoint.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 1, 1, "")
		done := i.out(t, "submit", "--wait", "true")
		running := i.out(t, "submit", "-n2", "sleep", "90")
		pending := i.out(t, "submit", "echo", "after all")
		i.out(t, "resource", "drain", "0", "kept")
		time.Sleep(3 * time.Second) // a checkpoint
		brokers[0].signal(syscall.SIGKILL)
		brokers[0].exit()
		i.start(t, 0, quorum(1)...)
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", done)
		i.eventually(t, "FAILED", "jobs", "-no", "{status}", running)
		assert.Equal(t, "SCHED", i.out(t, "jobs", "-no", "{status}", pending))
		i.out(t, "resource", "undrain", "0")
		assert.Equal(t, "after all", i.out(t, "job", "attach", pending))
	})
}

// After a lead is stopped, pending jobs are still pending, and running jobs are canceled.
func TestStop(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 1, 1, "")
		running := i.out(t, "submit", "-n2", "sleep", "90")
		pending := i.out(t, "submit", "true")
		i.eventually(t, "RUN", "jobs", "-no", "{status}", running)
		brokers[0].signal(syscall.SIGTERM)
		assert.Zero(t, brokers[0].exit())
		i.start(t, 0, quorum(1)...)
		i.eventually(t, "CANCELED", "jobs", "-no", "{status}", running)
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", pending)
	})
}

// Jobs move to another instance through an archive.
func TestArchive(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		for _, way := range []string{"dump", "shutdown"} {
			t.Run(way, func(t *testing.T) {
				i, brokers := up(t, f, 2, 1, "")
				done := i.out(t, "submit", "--wait", "true")
				i.out(t, "queue", "stop")
				pending := i.out(t, "submit", "-N2", "true")
				i.out(t, "queue", "idle")
				archive := i.path("archive.tgz")
				if way == "dump" {
					i.out(t, "dump", archive)
					brokers[0].signal(syscall.SIGTERM)
				} else {
					_ = i.at(t, 0, "shutdown", "--quiet", "--dump="+archive) // its connection may be cut
				}
				assert.Zero(t, brokers[0].exit())
				require.FileExists(t, archive)

				j := newInstance(t, f, 2, "")
				lead := j.start(t, 0, append(quorum(1), "-Scontent.restore="+archive)...)
				j.start(t, 1, quorum(1)...)
				j.nodes(t, "up", hosts(2))
				assert.Equal(t, "COMPLETED", j.out(t, "jobs", "-no", "{status}", done))
				if strings.Contains(j.out(t, "queue", "status"), "stopped") {
					assert.Equal(t, "shutdown", way)
				}
				j.out(t, "queue", "start")
				j.eventually(t, "COMPLETED", "jobs", "-no", "{status}", pending)
				lead.signal(syscall.SIGTERM)
				assert.Zero(t, lead.exit())
			})
		}
		start := func(t *testing.T, archive string) result {
			i := newInstance(t, f, 1, "")
			i.write(t, "bad", "this is not an archive")
			return finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "-Scontent.restore="+i.path(archive), "true")...)...))
		}
		t.Run("missing", func(t *testing.T) { assert.Zero(t, start(t, "missing").code) })
		t.Run("bad", func(t *testing.T) { assert.Equal(t, 1, start(t, "bad").code) })
	})
}

// A broker that is asked for an archive while it runs writes it when it ends: jobs keep their IDs, and queues stay
// stopped until they are started.
func TestHibernation(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 2, 1, "")
		i.out(t, "queue", "stop", "--all")
		pending := i.out(t, "submit", "-n1", "echo", "awake")
		held := i.out(t, "submit", "--urgency=0", "true")
		archive := i.path("archive.tgz")
		i.out(t, "setattr", "content.dump", archive)
		brokers[0].signal(syscall.SIGTERM)
		assert.Zero(t, brokers[0].exit())
		require.FileExists(t, archive)

		j := newInstance(t, f, 4, "")
		lead := j.start(t, 0, append(quorum(1), "-Scontent.restore="+archive)...)
		j.nodes(t, "up", hosts(1))
		assert.Contains(t, j.out(t, "queue", "status"), "Scheduling is stopped")
		assert.Equal(t, "SCHED", j.out(t, "jobs", "-no", "{state}", pending))
		j.out(t, "queue", "start", "--all")
		assert.Equal(t, "awake", j.out(t, "job", "attach", pending))
		assert.Equal(t, "SCHED", j.out(t, "jobs", "-no", "{state}", held))
		lead.signal(syscall.SIGTERM)
		assert.Zero(t, lead.exit())
	})
}

// The start script runs before the broker can run jobs.
func TestStartScript(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 1, 1, "")
		i.out(t, "submit", "-n2", "sleep", "90")
		pending := i.out(t, "submit", "true")
		brokers[0].signal(syscall.SIGTERM)
		assert.Zero(t, brokers[0].exit())
		i.start(t, 0, append(quorum(1),
			"-Sbroker.rc1_path=$(flux config builtin rc1_path) && flux queue stop --quiet --all --nocheckpoint")...)
		i.nodes(t, "up", hosts(1))
		assert.Contains(t, i.out(t, "queue", "status"), "Scheduling is stopped")
		assert.Equal(t, "SCHED", i.out(t, "jobs", "-no", "{state}", pending))
		i.out(t, "queue", "start")
		i.eventually(t, "COMPLETED", "jobs", "-no", "{status}", pending)
	})
}

// Users of a pod connect to the broker through a proxy, as in the tutorials.
func TestProxy(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 1, 1, "")
		r := f.run(t, nil, "proxy", i.uri(0), "flux", "getattr", "size;", "exit 3")
		assert.Equal(t, 3, r.code, r.errors)
		assert.Equal(t, "1\n", r.out)
		assert.Equal(t, 1, f.run(t, nil, "proxy", "local:///nosuch", "true").code)
	})
}
