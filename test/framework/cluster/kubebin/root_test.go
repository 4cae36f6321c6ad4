package kubebin

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoot(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "test", "kube", "go.mod"), "module m")
	deep := filepath.Join(root, "pkg", "controller")
	require.NoError(t, os.MkdirAll(deep, 0o755))
	for _, dir := range []string{root, deep} {
		found, err := Root(dir)
		require.NoError(t, err)
		assert.Equal(t, root, found)
	}
	_, err := Root(t.TempDir())
	assert.Error(t, err)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
}
