package agent

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestMountedImages: without init containers, the agents of a pod make the shared directories, whatever their order.
func TestMountedImages(t *testing.T) {
	p := newPod(t)
	require.NoError(t, os.RemoveAll(p.path(plan.SharedDir)))
	require.NoError(t, os.MkdirAll(p.path(plan.SharedDir), 0o755))
	require.NoError(t, os.MkdirAll(p.path("mnt/flux"), 0o755))
	p.write(plan.ViewImageDir+"/opt/views/._view/abc/bin/flux", "")
	p.write(plan.ViewImageDir+"/opt/software/linux/lib.so", "")
	a := newAgent(p.root)
	a.Plan.View = &plan.View{Copied: true, MountPath: "/mnt/flux"}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { assert.NoError(t, a.useMountedImages(t.Context(), i%2 == 0)) })
	}
	wg.Wait()
	for link, want := range map[string]string{
		plan.AgentPath:             plan.AgentImageDir + plan.AgentInImage,
		"/mnt/flux/view":           plan.ViewImageDir + "/opt/views/._view/abc",
		"/mnt/flux/software/linux": plan.ViewImageDir + "/opt/software/linux",
	} {
		target, err := os.Readlink(p.path(link))
		require.NoError(t, err)
		assert.Equal(t, want, target)
	}
	info, err := os.Stat(p.path(plan.MarkerDir))
	require.NoError(t, err)
	assert.Equal(t, 0o777|os.ModeDir|os.ModeSticky, info.Mode(), "independent of the umask")
}

// TestRunWithMountedImages runs the Flux container of a pod in which no init container ran.
func TestRunWithMountedImages(t *testing.T) {
	p := newPod(t)
	require.NoError(t, os.RemoveAll(p.path(plan.SharedDir)))
	require.NoError(t, os.MkdirAll(p.path(plan.SharedDir), 0o777))
	p.plan.Lead = plan.Program{Mode: plan.ModeLauncher, Command: "exit 3"}
	assert.Equal(t, 3, p.run("run", "--image-volumes"))

}
