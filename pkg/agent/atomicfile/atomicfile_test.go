package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	for _, content := range []string{"old", "new and longer", ""} {
		require.NoError(t, Write(name, []byte(content), 0o640, &Owner{os.Geteuid(), os.Getegid()}))
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, content, string(text))
	}
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), info.Mode())
}

func TestFailedWriteKeepsTheOldContent(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o600))
	require.Error(t, Copy(dir, name, 0o600), "a directory cannot be read")
	require.Error(t, Copy(filepath.Join(dir, "missing"), name, 0o600))
	require.Error(t, Write(filepath.Join(dir, "missing", "file"), nil, 0o600, nil))
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "old", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file remains")
}

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	require.NoError(t, os.WriteFile(from, []byte("content"), 0o600))
	require.NoError(t, Copy(from, to, 0o755))
	text, err := os.ReadFile(to)
	require.NoError(t, err)
	assert.Equal(t, "content", string(text))
	info, err := os.Stat(to)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), info.Mode())
}
