package node

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	require.NoError(t, removeTree(dir), "a missing cgroup counts as removed")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b", "c"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "d"), 0o755))
	require.NoError(t, removeTree(dir))
	assert.NoDirExists(t, dir)

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "file"), nil, 0o600))
	assert.ErrorContains(t, removeTree(dir), filepath.Join(dir, "b"), "only folders are removed")
}

func TestFindTellsWhetherANodeRuns(t *testing.T) {
	dir := t.TempDir()
	_, found, err := Find(dir)
	require.NoError(t, err)
	assert.False(t, found, "no node has run")

	// A process with that ID runs, but does not belong to a node: IDs are reused.
	require.NoError(t, os.WriteFile(filepath.Join(dir, pidFile), []byte(strconv.Itoa(os.Getpid())), 0o600))
	pid, found, err := Find(dir)
	require.NoError(t, err)
	assert.Equal(t, os.Getpid(), pid)
	assert.False(t, found)

	require.NoError(t, os.WriteFile(filepath.Join(dir, pidFile), []byte("x"), 0o600))
	_, _, err = Find(dir)
	assert.Error(t, err)
}

func TestRemoveLeavesForeignDirectoriesAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600))
	require.NoError(t, Remove(t.Context(), dir))
	assert.FileExists(t, filepath.Join(dir, "precious"))
}

func TestSockets(t *testing.T) {
	// sun_path has 108 bytes, see unix(7); this is the longest path of a directory in the usual location.
	assert.Less(t, len(Socket("/tmp/minicluster-node-4294967295")), 108)
}
