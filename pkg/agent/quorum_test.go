package agent

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// A lead that waits for its quorum is restarted when the quorum is lowered, and one that runs is not.
func TestLoweredQuorum(t *testing.T) {
	for name, test := range map[string]struct {
		state string
		want  int
	}{
		"waits": {flux.StateQuorum, 2},
		"runs":  {flux.StateRun, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			p.write(plan.ConfigDir+"/"+plan.FileQuorum, "4\n")
			p.start("run")
			p.eventually("a broker", func() bool { return p.brokers() == 1 })
			asked := make(chan struct{}, 1)
			b, err := fluxtest.Listen(p.path("run/flux/local"))
			require.NoError(t, err)
			defer b.Close()
			b.Handle("state-machine.get", func(r *fluxtest.Request) {
				r.Respond(map[string]string{"state": test.state})
				select {
				case asked <- struct{}{}:
				default:
				}
			})
			assert.Contains(t, p.fluxLog(), "-Sbroker.quorum=4")
			p.write(plan.ConfigDir+"/"+plan.FileQuorum, "3\n")
			select {
			case <-asked:
			case <-time.After(patience):
				require.Fail(t, "the agent does not ask for the state of the broker")
			}
			if test.want == 2 {
				p.eventually("another broker", func() bool { return p.brokers() == 2 })
				assert.Contains(t, p.fluxLog(), "-Sbroker.quorum=3")
			} else {
				<-asked // it asks again, and the first answer had no effect
			}
			assert.Equal(t, test.want, p.brokers())
			assert.Equal(t, plan.ExitStopped, p.terminate())
		})
	}
}

// The program of a cluster that lacks a pod starts when the quorum is lowered, by the controller and by the mounted
// file.
func TestLoweredQuorumRealFlux(t *testing.T) {
	inFluxNet(t, func(t *testing.T) {
		for _, way := range []string{"controller", "file"} {
			t.Run(way, func(t *testing.T) {
				c := newFluxCluster(t, 4, 30)
				c.plan.Lead = plan.Program{Mode: plan.ModeLauncher, Tasks: 1, Command: "sh -c 'echo once >>$SHARED/program; flux resource list -no {nnodes} -s up'"}
				client := c.startControlled(3)
				c.eventually("three brokers", func() bool {
					return strings.Contains(c.ready(), "the lead broker waits for its quorum: 3 of 4 brokers are online")
				})
				begin := time.Now()
				if way == "controller" {
					require.NoError(t, client.LowerQuorum(t.Context(), "127.0.0.1", 9561, 3))
				} else {
					c.enter(0, "sh", "-c", "echo 3 >"+filepath.Join(plan.ConfigDir, plan.FileQuorum))
				}
				assert.Zero(t, c.wait(0))
				t.Logf("MEASURED %s: the program had ended %v after the quorum was lowered", way, time.Since(begin).Round(time.Millisecond))
				assert.Equal(t, "once\n", c.read("program"))
				assert.Contains(t, c.read("log-0"), "\n3\n")
			})
		}
	})
}
