package status

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
	"minicluster.internal/operator/test/framework/randomspec"
)

// FuzzStatus computes the status of random MiniClusters. A second computation with the written status as input
// returns the same status and no event.
func FuzzStatus(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("changes of several fields"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		mc := randomspec.FromBytes(choices)
		v1alpha2.SetDefaults(mc)
		if len(validation.ValidateMiniCluster(mc)) > 0 {
			return
		}
		in := Input{MiniCluster: mc.DeepCopy(), Environment: testEnvironment, Fixed: resources.NewFixed(mc)}
		job, err := resources.BuildJob(mc, in.Fixed, testEnvironment, mc.RequestedSize())
		require.NoError(t, err)
		in.Job = job
		first, _ := Compute(in)
		in.MiniCluster.Status = first
		second, events := Compute(in)
		require.Equal(t, first, second)
		require.Empty(t, events)
	})
}
