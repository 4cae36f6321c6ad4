package kubebin

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFingerprint(t *testing.T) {
	module := t.TempDir()
	write(t, filepath.Join(module, "go.mod"), "module m")
	write(t, filepath.Join(module, "localkube", "main.go"), "package main")
	write(t, filepath.Join(module, "localkube", "main_test.go"), "package main")
	write(t, filepath.Join(module, "kwok", "stages.yaml"), "stages")
	current := func() string {
		sum, err := fingerprint(module, "go1.26.0 linux amd64", "./localkube")
		require.NoError(t, err)
		return sum
	}
	first := current()
	assert.Equal(t, first, current())

	write(t, filepath.Join(module, "kwok", "stages.yaml"), "other stages")
	write(t, filepath.Join(module, "localkube", "main_test.go"), "package main // more tests")
	write(t, filepath.Join(module, "README.md"), "words")
	assert.Equal(t, first, current(), "nothing of this is built into the programs")

	write(t, filepath.Join(module, "localkube", "policy.yaml"), "embedded")
	second := current()
	assert.NotEqual(t, first, second)
	write(t, filepath.Join(module, "go.mod"), "module m // newer")
	third := current()
	assert.NotEqual(t, second, third)
	require.NoError(t, os.Remove(filepath.Join(module, "localkube", "policy.yaml")))
	assert.NotEqual(t, third, current())

	other, err := fingerprint(module, "go1.27.0 linux amd64", "./localkube")
	require.NoError(t, err)
	assert.NotEqual(t, current(), other)
	_, err = fingerprint(filepath.Join(module, "missing"), "go1.26.0 linux amd64")
	assert.Error(t, err)
}
