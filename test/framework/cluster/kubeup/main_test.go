package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster"
)

func TestUpAndDown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes cluster, which -short excludes")
	}
	dir := filepath.Join(t.TempDir(), "state")
	var out, log bytes.Buffer
	call := func(args ...string) {
		out.Reset()
		log.Reset()
		require.NoError(t, run(t.Context(), append(args, "--dir="+dir), &out, &log))
	}
	t.Cleanup(func() { call("down") })

	call("up", "--nodes=1")
	first := out.String()
	assert.Contains(t, first, "# its nodes are simulated: ")
	assert.Contains(t, first, "# stop it with: go run ./test/framework/cluster/kubeup down --dir "+dir+"\n")
	assert.True(t, strings.HasPrefix(first, "export KUBECONFIG="+filepath.Join(dir, "kubeconfig")+"\n"))
	state, err := loadState(dir)
	require.NoError(t, err)
	require.Len(t, state.running(dir), 2)
	nodes, err := exec.CommandContext(t.Context(), state.Kubectl, "--kubeconfig", filepath.Join(dir, "kubeconfig"), "get", "nodes", "--output=name").Output()
	require.NoError(t, err)
	assert.Equal(t, "node/node-0\n", string(nodes))

	call("up")
	assert.Equal(t, first, out.String())
	assert.Contains(t, log.String(), "running already")

	call("down")
	assert.NoDirExists(t, dir)
	assert.Empty(t, state.running(dir))
	call("down")
	assert.Contains(t, log.String(), "No cluster")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"sideways"}, {"up", "now"}, {"up", "--nodes=many"}} {
		var log bytes.Buffer
		assert.Error(t, run(t.Context(), args, &bytes.Buffer{}, &log), "%q", args)
	}
}

// Process IDs are reused, so another process may have a recorded ID.
func TestOtherProcessesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	other := cluster.Process{Name: "localkube", PID: os.Getpid()}
	require.NoError(t, state{Processes: []cluster.Process{other}}.save(dir))
	s, err := loadState(dir)
	require.NoError(t, err)
	assert.Equal(t, []cluster.Process{other}, s.Processes)
	assert.Empty(t, s.running(dir))

	var log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"down", "--dir=" + dir}, &bytes.Buffer{}, &log))
	assert.NoDirExists(t, dir)
}

func TestDownLeavesADirectoryThatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run(t.Context(), []string{"down", "--dir=" + dir}, &bytes.Buffer{}, &bytes.Buffer{}))
	assert.DirExists(t, dir)
}

func TestBrokenState(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateFile), []byte("{"), 0o600))
	assert.Error(t, run(t.Context(), []string{"down", "--dir=" + dir}, &bytes.Buffer{}, &bytes.Buffer{}))
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{
		"/state/kubeconfig":    "/state/kubeconfig",
		"/my state/kubeconfig": "'/my state/kubeconfig'",
		"/it's/kubeconfig":     `'/it'\''s/kubeconfig'`,
	} {
		assert.Equal(t, want, quote(path))
	}
}
