package documentation_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/versions/results"
)

// TestVersionsTable compares the table of the tested releases of Kubernetes in the README with the record of the runs.
func TestVersionsTable(t *testing.T) {
	t.Parallel()
	record, err := results.Load(root + "/" + results.File)
	require.NoError(t, err)
	assert.Contains(t, read(t, "README.md"), record.Table(), "run make versions, which writes both")
}
