package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/node/nodetest"
)

// traces returns remains that nodes could leave on this machine: folders, cgroups, mounts, and files at fixed paths.
func traces(t *testing.T, nodes ...*node.Node) []string {
	t.Helper()
	var found []string
	patterns := []string{"/run/netns/cni-*", "/var/log/containers/*", "/var/lib/kubelet/*"}
	for _, kube := range nodes {
		cgroup := fmt.Sprintf("minicluster-node-%d", kube.InitPID())
		patterns = append(patterns, kube.Dir(), "/sys/fs/cgroup/"+cgroup, "/sys/fs/cgroup/*/"+cgroup)
	}
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, names...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		for _, kube := range nodes {
			if strings.Contains(line, kube.Dir()) {
				found = append(found, line)
			}
		}
	}
	return found
}

func settings(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"} {
		content, err := os.ReadFile("/proc/sys/" + name)
		require.NoError(t, err)
		values[name] = string(content)
	}
	return values
}

func TestNodesLeaveNothingBehind(t *testing.T) {
	nodetest.Need(t)
	settingsBefore := settings(t)

	first, err := node.Start(t.Context(), node.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, first.Stop()) })
	second, err := node.Start(t.Context(), node.Options{})
	require.NoError(t, err, "a second node")
	t.Cleanup(func() { assert.NoError(t, second.Stop()) })
	assert.NotEqual(t, first.Kubeconfig(), second.Kubeconfig())

	for _, kube := range []*node.Node{first, second} {
		nodes, err := kube.Kubectl(t.Context(), "get", "nodes", "--output=jsonpath={.items[*].status.addresses[0].address}")
		require.NoError(t, err)
		assert.Equal(t, node.Address, nodes)
		routes, err := kube.Run(t.Context(), nil, "cat", "/proc/net/route")
		require.NoError(t, err)
		assert.NotRegexp(t, `(?m)^\S+\t00000000\t`, routes, "no external access: no default route")
	}
	assert.GreaterOrEqual(t, len(traces(t, first, second)), 4, "traces are detected")

	require.NoError(t, first.Stop())
	require.NoError(t, first.Stop(), "a node can be stopped again")
	require.NoError(t, second.Stop())
	assert.Empty(t, traces(t, first, second))
	assert.Equal(t, settingsBefore, settings(t), "a kubelet must not change settings of the shared kernel")
}

func TestNodeRefusesAHiddenDirectory(t *testing.T) {
	if len(node.Missing()) > 0 {
		t.Skip("needs a machine that could run a node")
	}
	options := node.Options{}
	options.Cluster.Dir = "/run/minicluster"
	_, err := node.Start(t.Context(), options)
	assert.ErrorContains(t, err, "would not be visible inside")
}
