package python_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/python"
)

// TestTypes checks the annotations of the package.
func TestTypes(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	if exec.CommandContext(t.Context(), program, "-c", "import mypy").Run() != nil {
		t.Skip("no mypy: install package mypy")
	}
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	out, err := python.Run(t.Context(), program, root, nil, "-m", "mypy", "--cache-dir="+t.TempDir(), "minicluster")
	assert.NoError(t, err, out)
}
