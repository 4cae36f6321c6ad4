package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
	"minicluster.internal/operator/test/framework/randomspec"
)

// FuzzStatus computes the status of random MiniClusters. The status of the same state
// is the same, also when it was written before, and a new Job has the size of the spec.
func FuzzStatus(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("changes of several fields"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		mc := randomspec.FromBytes(choices)
		v1alpha2.SetDefaults(mc)
		if len(validation.ValidateMiniCluster(mc)) > 0 {
			return
		}
		s := &syncState{mc: mc.DeepCopy(), environment: testEnvironment, fixed: resources.NewFixed(mc)}
		job, err := resources.BuildJob(mc, s.fixed, testEnvironment, mc.RequestedSize())
		require.NoError(t, err)
		s.job = job
		require.Zero(t, s.target(), "the Job has its size")
		s.mc.Status = newStatus(s, nil)
		require.Equal(t, s.mc.Status, newStatus(s, nil))
	})
}
