package agent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
			assert.Equal(t, test.code, p.run("sidecar", "--container", "nginx"))
		})
	}
	p := newSidecarPod(t, plan.Sidecar{Command: "true"})
	assert.Equal(t, plan.ExitPrepare, p.run("sidecar", "--container", "other"))
}

func TestStopSidecar(t *testing.T) {
	p := newSidecarPod(t, plan.Sidecar{Command: "echo started; exec sleep 1000"})
	p.start("sidecar", "--container", "nginx")
	p.eventually("it runs", func() bool { return p.stdout.String() != "" })
	assert.Equal(t, plan.ExitStopped, p.terminate())
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
	assert.False(t, lives, "whatever ended it")
}
