package gitops

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// TestKstatus: the library computes Current for a MiniCluster that is ready or complete, Failed for one that failed or
// is not valid, and InProgress for one that starts.
func TestKstatus(t *testing.T) {
	for _, s := range states(t) {
		result, err := status.Compute(s.mc)
		require.NoError(t, err, s.name)
		assert.Equal(t, s.kstatus, result.Status.String(), "%s: %s", s.name, result.Message)
	}
}
