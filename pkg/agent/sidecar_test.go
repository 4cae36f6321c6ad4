package agent

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

func newSidecarPod(t *testing.T, car plan.Sidecar) *testPod {
	p := newPod(t)
	car.Name = "nginx"
	p.plan.Sidecars = []plan.Sidecar{car}
	return p
}

func TestSidecarEndsWithFlux(t *testing.T) {
	p := newSidecarPod(t, plan.Sidecar{
		Init: "echo init", ServicePre: "echo servicePre", Command: "echo started && exec sleep 1000", Post: "echo post",
	})
	p.start("sidecar", "--container", "nginx")
	p.eventually("it runs", func() bool { return p.stdout.String() == "init\nservicePre\nstarted\n" })
	newAgent(p.root).finished(t.Context(), 0)
	assert.Equal(t, 0, p.wait())
	assert.Equal(t, "init\nservicePre\nstarted\npost\n", p.stdout.String())
}

func TestSidecarWaitsForTheSocket(t *testing.T) {
	p := newSidecarPod(t, plan.Sidecar{WaitSocket: true, Command: "echo started", ServicePre: "echo servicePre"})
	p.start("sidecar", "--container", "nginx")
	p.eventually("it waits", func() bool { return p.stdout.String() == "servicePre\n" })
	p.write("run/flux/local", "")
	assert.Equal(t, 0, p.wait())
	assert.Equal(t, "servicePre\nstarted\n", p.stdout.String())
}

func TestSidecarEndsBeforeTheSocket(t *testing.T) {
	p := newSidecarPod(t, plan.Sidecar{WaitSocket: true, Command: "echo started"})
	newAgent(p.root).finished(t.Context(), 0)
	assert.Equal(t, 0, p.run("sidecar", "--container", "nginx"))
	assert.Empty(t, p.stdout.String())
}

func TestSidecarCodes(t *testing.T) {
	for _, test := range []struct {
		name string
		car  plan.Sidecar
		code int
	}{
		{"its own end", plan.Sidecar{Command: "exit 4"}, 4},
		{"missing", plan.Sidecar{Command: "/no/such/program"}, 127},
		{"script", plan.Sidecar{Script: "#!/bin/sh\nexit 5\n", Command: "exit 6"}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newSidecarPod(t, test.car)
			p.write("dev/termination-log", "")
			assert.Equal(t, 0, p.run("sidecar", "--container", "nginx"), "only Flux decides how the pod ends")
			assert.Equal(t, test.code, plan.SidecarCode(p.read("dev/termination-log")))
			p.plan.Restarts = true
			assert.Equal(t, test.code, p.run("sidecar", "--container", "nginx"), "Kubernetes restarts it")
			p.write("dev/termination-log", "")
			newAgent(p.root).finished(t.Context(), 0)
			assert.Equal(t, 0, p.run("sidecar", "--container", "nginx"), "the pod would not end")
		})
	}
	p := newSidecarPod(t, plan.Sidecar{Command: "true"})
	p.write("dev/termination-log", "")
	assert.Equal(t, 0, p.run("sidecar", "--container", "other"))
	assert.Equal(t, plan.ExitPrepare, plan.SidecarCode(p.read("dev/termination-log")))
}

func TestStopSidecar(t *testing.T) {
	p := newSidecarPod(t, plan.Sidecar{Command: "echo started; exec sleep 1000"})
	p.start("sidecar", "--container", "nginx")
	p.eventually("it runs", func() bool { return p.stdout.String() != "" })
	assert.Equal(t, 0, p.terminate())
}

func TestFluxContainerIsWatched(t *testing.T) {
	p := newPod(t)
	a := newAgent(p.root)
	started, lives := a.FluxContainer()
	assert.False(t, started || lives)
	p.start("run")
	p.eventually("it lives", func() bool { started, lives = a.FluxContainer(); return started && lives })
	p.eventually("a broker", func() bool { return p.brokers() == 1 })
	require.NoError(t, p.cmd.Process.Kill())
	p.wait()
	started, lives = a.FluxContainer()
	assert.True(t, started)
	assert.False(t, lives, "however it ended")
}

// TestSidecarStopsAfterFlux checks that a sidecar that is asked to stop serves Flux until Flux ends.
func TestSidecarStopsAfterFlux(t *testing.T) {
	t.Parallel()
	p := newSidecarPod(t, plan.Sidecar{Command: "trap 'echo stopped; exit 0' TERM; echo started; while :; do sleep 0.05; done"})
	p.plan.GracePeriodSeconds = 100
	p.start("sidecar", "--container", "nginx")
	p.eventually("it runs", func() bool { return p.stdout.String() == "started\n" })
	lock, err := newAgent(p.root).LockAlive(shutdown.Never(time.Minute))
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
		require.Fail(t, "it stopped before Flux")
	case <-time.After(time.Second):
	}
	assert.Equal(t, "started\n", p.stdout.String())
	require.NoError(t, lock.Close())
	assert.Equal(t, 0, p.wait())
	assert.Equal(t, "started\nstopped\n", p.stdout.String())
}

// TestRestartedFluxKeepsItsSidecars checks that sidecars survive a restart of Flux: Kubernetes does not restart a
// sidecar that has ended with 0.
func TestRestartedFluxKeepsItsSidecars(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.Restarts = true
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "exit 3"
	assert.Equal(t, 3, p.run("run"))
	assert.NoFileExists(t, p.path(plan.MarkerDir, pod.FileFinished))
	p.plan.Lead.Command = "true"
	assert.Equal(t, 0, p.run("run"))
	assert.FileExists(t, p.path(plan.MarkerDir, pod.FileFinished))
}

// TestStopSidecarInPost checks that the hook after a sidecar ends within the grace period. Kubernetes would kill the
// container otherwise, which fails the pod.
func TestStopSidecarInPost(t *testing.T) {
	t.Parallel()
	p := newSidecarPod(t, plan.Sidecar{Command: "true", Post: "echo post; sleep 1000"})
	p.start("sidecar", "--container", "nginx")
	p.eventually("the hook runs", func() bool { return p.stdout.String() == "post\n" })
	assert.Equal(t, 0, p.terminate())
	assert.Contains(t, p.stderr.String(), "Hook exceeds the grace period and is stopped")
}
