package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quorum returns options of an instance that starts with n brokers and no program.
func quorum(n int) []string {
	return []string{fmt.Sprintf("-Sbroker.quorum=%d", n), "-Sbroker.rc2_none"}
}

// up starts an instance, n brokers of which run.
func up(t *testing.T, f flux, size, n int, text string) (*instance, []*broker) {
	t.Helper()
	i := newInstance(t, f, size, "[kvs]\ncheckpoint-period = \"1s\"\n"+text)
	var brokers []*broker
	for rank := range n {
		brokers = append(brokers, i.start(t, rank, quorum(n)...))
	}
	i.nodes(t, "up", hosts(n))
	return i, brokers
}

// answers waits until the broker of a follower answers.
func (i *instance) answers(t *testing.T, rank int) {
	t.Helper()
	require.Eventually(t, func() bool { return i.at(t, rank, "getattr", "tbon.parent-endpoint").code == 0 }, patience, 100*time.Millisecond, "it answers")
}

func hosts(n int) string {
	if n == 1 {
		return "c-0"
	}
	return fmt.Sprintf("c-[0-%d]", n-1)
}

// A cluster that starts with some of its hosts grows and shrinks.
func TestMembership(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 4, 2, "")
		i.nodes(t, "down", "c-[2-3]")
		assert.Equal(t, "4", i.out(t, "getattr", "size"))
		assert.Equal(t, "1", strings.TrimSpace(i.at(t, 1, "getattr", "rank").out))
		assert.Equal(t, hosts(2), strings.TrimSpace(i.at(t, 1, "resource", "list", "-n", "-s", "up", "-o", "{nodelist}").out))

		i.start(t, 2, quorum(2)...)
		last := i.start(t, 3, quorum(2)...)
		i.nodes(t, "up", hosts(4))

		last.signal(syscall.SIGTERM) // takes leave
		assert.Zero(t, last.exit())
		i.nodes(t, "down", "c-3")
		i.start(t, 3, quorum(2)...)
		i.nodes(t, "up", hosts(4))

		brokers[1].signal(syscall.SIGKILL) // detected as lost
		i.nodes(t, "down", "c-1")
		i.start(t, 1, quorum(2)...)
		i.nodes(t, "up", hosts(4))

		brokers[0].signal(syscall.SIGTERM) // all stop with the lead
		assert.Zero(t, brokers[0].exit())
		assert.NoFileExists(t, filepath.Join(i.dir, "run-0", "local"))
	})
}

// A follower that has not found its lead logs where it tries to connect.
func TestLookingForTheLead(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 2, "")
		endpoint := []string{"getattr", "tbon.parent-endpoint"}
		follower := i.start(t, 1, quorum(2)...)
		i.answers(t, 1)
		assert.Equal(t, fmt.Sprintf("tcp://127.0.0.1:%d\n", i.port), i.at(t, 1, endpoint...).out)
		lead := i.start(t, 0, quorum(2)...)
		i.nodes(t, "up", hosts(2))
		assert.Equal(t, fmt.Sprintf("tcp://127.0.0.1:%d\n", i.port), i.at(t, 1, endpoint...).out)
		assert.NotZero(t, i.at(t, 0, endpoint...).code, "the lead has no parent")
		lead.signal(syscall.SIGTERM)
		assert.Zero(t, follower.exit())
	})
}

// The program waits for the quorum, and the other brokers stop with it.
func TestProgramWaitsForQuorum(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 3, "")
		lead := i.start(t, 0, "-Sbroker.quorum=2", "sh", "-c", "echo it runs; exit 9")
		lead.says("quorum")
		follower := i.start(t, 2, "-Sbroker.quorum=2", "echo", "not here")
		assert.Equal(t, 9, lead.exit())
		assert.Zero(t, follower.exit())
		assert.Contains(t, lead.log.String(), "it runs\n")
		assert.NotContains(t, follower.log.String(), "not here\n")
	})
}

// A follower's certificate needs no name.
func TestNamelessCertificate(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, _ := up(t, f, 2, 1, "")
		text, err := os.ReadFile(i.path("curve.cert"))
		require.NoError(t, err)
		i.write(t, "curve.cert", from(string(text), "curve\n"))
		i.start(t, 1, quorum(1)...)
		i.nodes(t, "up", hosts(2))
	})
}

// A follower with another certificate is rejected, and neither side ends.
func TestForeignCertificate(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 2, 1, "")
		own, err := os.ReadFile(i.path("curve.cert"))
		require.NoError(t, err)
		require.NoError(t, os.Remove(i.path("curve.cert")))
		require.Zero(t, f.run(t, nil, "keygen", i.path("curve.cert")).code)
		stranger := i.start(t, 1, quorum(1)...)
		select {
		case <-stranger.done:
			assert.Fail(t, "the stranger ended")
		case <-brokers[0].done:
			assert.Fail(t, "the lead ended")
		case <-time.After(3 * time.Second):
		}
		i.nodes(t, "down", "c-1")
		stranger.signal(syscall.SIGKILL)
		stranger.exit()
		i.write(t, "curve.cert", string(own))
		i.start(t, 1, quorum(1)...)
		i.nodes(t, "up", hosts(2))
	})
}

// Followers wait for a lead that starts late, end when it restarts, and stay when it is only unreachable.
func TestLeadComesAndGoes(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 2, "")
		follower := i.start(t, 1, quorum(1)...)
		time.Sleep(time.Second) // no lead yet
		lead := i.start(t, 0, quorum(1)...)
		i.nodes(t, "up", hosts(2))

		lead.signal(syscall.SIGKILL)
		lead.exit()
		select {
		case <-follower.done:
			assert.Fail(t, "the follower ended before the lead is back")
		case <-time.After(2 * time.Second):
		}
		i.start(t, 0, quorum(1)...)
		assert.Equal(t, 1, follower.exit())
		i.start(t, 1, quorum(1)...)
		i.nodes(t, "up", hosts(2))
	})
}

// A broker that does not answer gets no jobs until it answers.
func TestTorpid(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i, brokers := up(t, f, 2, 2, "[tbon]\ntorpid_max = \"3s\"\ntorpid_min = \"1s\"\n[heartbeat]\nperiod = \"0.5s\"\n")
		brokers[1].signal(syscall.SIGSTOP)
		i.nodes(t, "down", "c-1")
		brokers[1].signal(syscall.SIGCONT)
		i.nodes(t, "up", hosts(2))
	})
}

// A follower that is stopped before it has found the lead has failed.
func TestStopDuringQuorum(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 2, "")
		lead := i.start(t, 0, quorum(2)...)
		lead.says("quorum")
		time.Sleep(500 * time.Millisecond) // the real broker logs before it waits
		lead.signal(syscall.SIGTERM)
		assert.Zero(t, lead.exit())

		follower := i.start(t, 1, quorum(2)...)
		i.answers(t, 1) // it tries to connect
		follower.signal(syscall.SIGTERM)
		assert.Equal(t, 1, follower.exit())
	})
}
