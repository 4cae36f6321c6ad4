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
	require.NoError(t, removeTree(dir), "what does not exist is removed")
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
	assert.False(t, found, "no node was ever here")

	// A process of that number runs, but is no node's: numbers are used again.
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
	// sun_path has 108 bytes, see unix(7); this is the longest a directory of ours becomes in the usual place.
	assert.Less(t, len(Socket("/tmp/minicluster-node-4294967295")), 108)
}
