package prepare

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// ProgramForAll is a copy of this test binary that every user can run.
func ProgramForAll(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	file := filepath.Join(dir, "prepare.test")
	require.NoError(t, os.WriteFile(file, program, 0o755))
	return file
}
