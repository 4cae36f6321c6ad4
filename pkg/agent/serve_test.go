package agent

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/supervise"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

func TestServeOptions(t *testing.T) {
	root := t.TempDir()
	lead := &runner{
		agent:  &agent{Pod: &pod.Pod{Root: root, Plan: &plan.Plan{HTTPPort: 9562}}},
		broker: &supervise.Supervisor{},
		instance: &prepare.Instance{
			Lead: true, Files: plan.Files{Socket: "/run/flux/local"}, Credential: &syscall.Credential{Uid: 1234},
		},
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, plan.MarkerDir), 0o755))
	o := lead.serveOptions(t.Context())
	assert.Equal(t, ":9562", o.Addr)
	if os.Geteuid() == 0 {
		assert.Equal(t, lead.File(pod.DirMetrics), o.ApplicationMetrics)
	}
	assert.Equal(t, filepath.Join(root, "/run/flux/local"), o.Socket)
	assert.Equal(t, 1234, o.User)
	assert.Empty(t, o.ControlAddr, "a Secret without certificates")

	data, err := control.NewCredentials("flux-sample-0", time.Now())
	require.NoError(t, err)
	dir := filepath.Join(root, plan.CertificateDir)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, text := range data {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	o = lead.serveOptions(t.Context())
	assert.Equal(t, ":9563", o.ControlAddr)
	assert.Len(t, o.Credentials, 3, "without those of the controller")

	follower := &runner{agent: lead.agent, broker: &supervise.Supervisor{}, instance: &prepare.Instance{Files: plan.Files{Socket: "/run/flux/local"}}}
	o = follower.serveOptions(t.Context())
	assert.Equal(t, -1, o.User)
	assert.Empty(t, o.ControlAddr)
	assert.Nil(t, o.Credentials)
	assert.Empty(t, o.ApplicationMetrics)
}
