package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// makeState makes what a sync knows of a MiniCluster whose Job exists.
func makeState(t *testing.T, mc *v1alpha2.MiniCluster, size int32) *syncState {
	t.Helper()
	s := &syncState{mc: mc, environment: testEnvironment, fixed: resources.ResolveFixed(mc, nil, nil)}
	job, err := resources.BuildJob(mc, s.fixed, testEnvironment, size)
	require.NoError(t, err)
	job.UID = "job-uid"
	s.job = job
	return s
}

// testEnvironment is a cluster of the newest Kubernetes.
var testEnvironment = resources.Environment{ClusterDomain: "cluster.local", Agent: resources.AgentImage{Image: "minicluster:test"}}
