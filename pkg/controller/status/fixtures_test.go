package status

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// makeInput returns the input for a MiniCluster whose Job exists.
func makeInput(t *testing.T, mc *v1alpha2.MiniCluster, size int32) *Input {
	t.Helper()
	in := &Input{MiniCluster: mc, Environment: testEnvironment, Fixed: resources.NewFixed(mc)}
	job, err := resources.BuildJob(mc, in.Fixed, testEnvironment, size)
	require.NoError(t, err)
	job.UID = "job-uid"
	in.Job = job
	return in
}

// testEnvironment is a cluster with the newest version of Kubernetes.
var testEnvironment = resources.Environment{ClusterDomain: "cluster.local", Agent: resources.AgentImage{Image: "minicluster:test"}}
