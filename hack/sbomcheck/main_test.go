package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bom.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"components": [{"name": "a.example/a", "version": "v1.0.0"}, {"name": "a.example/fork", "version": "v1.1.0"}]}`), 0o600))
	a := &debug.Module{Path: "a.example/a", Version: "v1.0.0"}
	replaced := &debug.Module{Path: "a.example/b", Version: "v1.0.0", Replace: &debug.Module{Path: "a.example/fork", Version: "v1.1.0"}}
	require.NoError(t, check([]*debug.Module{a, replaced}, path))
	for name, module := range map[string]*debug.Module{
		"missing": {Path: "a.example/c", Version: "v1.0.0"}, "another version": {Path: "a.example/a", Version: "v1.0.1"},
	} {
		assert.ErrorContains(t, check([]*debug.Module{a, module}, path), "does not list "+module.Path+" "+module.Version, name)
	}
	assert.ErrorContains(t, check(nil, filepath.Join(t.TempDir(), "none")), "bill of materials")
}

func TestRun(t *testing.T) {
	assert.ErrorContains(t, run(io.Discard, nil), "usage")
	assert.ErrorContains(t, run(io.Discard, []string{"main.go", "main.go"}), "modules of the program")
}
