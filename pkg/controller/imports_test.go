package controller

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestImports checks the direction of imports below pkg/controller: app, then the loop, then status, drain, diagnosis,
// metrics and site, then resources, then messages. Only the loop and app may import client-go. The linter has the same
// rules; this test runs without it.
func TestImports(t *testing.T) {
	const own = "minicluster.internal/operator/pkg/controller"
	layers := map[string]int{"app": 0, ".": 1, "drain/agents": 2, "status": 3, "drain": 3, "diagnosis": 3, "metrics": 3, "site": 3, "resources": 4, "messages": 5}
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || strings.Contains(dir, "testdata") {
			return err
		}
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			return nil //nolint:nilerr // contains packages only
		}
		layer, known := layers[dir]
		require.True(t, known, "package %s has no layer", dir)
		seen[dir] = true
		for _, path := range pkg.Imports {
			if layer > 1 {
				assert.False(t, strings.HasPrefix(path, "k8s.io/client-go") || strings.Contains(path, "/pkg/generated/"), "%s imports %s", dir, path)
			}
			below, inside := strings.CutPrefix(path, own)
			if !inside {
				continue
			}
			imported := strings.TrimPrefix(below, "/")
			if imported == "" {
				imported = "."
			}
			assert.Greater(t, layers[imported], layer, "%s imports %s", dir, path)
		}
		return nil
	})
	require.NoError(t, err)
	for dir := range layers {
		assert.True(t, seen[dir], "package %s does not exist", dir)
	}
}
