package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// The first status is not written while other MiniClusters of the namespace wait for their Jobs, but by the next sync
// at the latest. Meanwhile a MiniCluster that has a Job does not count as one that waits for it.
func TestFirstStatusWaitsForOtherJobs(t *testing.T) {
	p := newPlay(t, nil)
	others := true
	p.controller.creationsWait = func(namespace string) bool { return others && namespace == testNamespace }
	key := cache.NewObjectName(testNamespace, "a")
	p.see(miniclusters, 1)
	require.Equal(t, priorityCreation, p.controller.priorityOf(key))

	p.work(1)
	require.NotEmpty(t, p.objects[jobs], "the Job exists")
	assert.Empty(t, p.cluster("a").Status.Conditions, "no status")
	assert.Equal(t, priorityReadiness, p.controller.priorityOf(key), "before the cache has the Job")
	p.see(jobs, 1)
	assert.Equal(t, priorityReadiness, p.controller.priorityOf(key))

	p.clock.Step(heldStatus)
	p.seeAll()
	p.work(1)
	assert.NotEmpty(t, p.cluster("a").Status.Conditions, "although others still wait")
	assert.Equal(t, v1alpha2.ReasonNotReady, p.condition("a", v1alpha2.ConditionReady).Reason)
}

// An edit of a MiniCluster whose first status is still to be written is a change that its user waits for.
func TestEditBeforeFirstStatus(t *testing.T) {
	p := newPlay(t, nil)
	p.controller.creationsWait = func(string) bool { return true }
	key := cache.NewObjectName(testNamespace, "a")
	p.seeAll()
	p.work(1)
	require.Empty(t, p.cluster("a").Status.Conditions)
	p.editFields("a", 0)
	p.seeAll()
	require.NotEqual(t, int64(firstGeneration), p.cluster("a").Generation)
	assert.Equal(t, priorityChange, p.controller.priorityOf(key))
}
