package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/status"
)

// The first status waits for the pods while many Jobs of the namespace are created, for a bounded time. Meanwhile the
// MiniCluster does not count as one that waits for its Job.
func TestFirstStatusInABurst(t *testing.T) {
	p := newPlay(t, nil)
	p.createOthers()
	key := cache.NewObjectName(testNamespace, "a")
	p.see(miniclusters, 1)
	require.Equal(t, priorityCreation, p.controller.priorityOf(key))

	p.work(1)
	require.NotEmpty(t, p.objects[jobs], "the Job exists")
	assert.Equal(t, priorityReadiness, p.controller.priorityOf(key), "before the cache has the Job")
	p.see(jobs, 1)
	assert.Equal(t, priorityReadiness, p.controller.priorityOf(key))
	p.seeAll()
	p.work(2)
	assert.Empty(t, p.cluster("a").Status.Conditions, "no status")

	p.clock.Step(15 * time.Second)
	p.createOthers()
	p.work(1)
	assert.Equal(t, v1alpha2.ReasonNotReady, p.condition("a", v1alpha2.ConditionReady).Reason)
}

// createOthers is as if many Jobs of the namespace are created now.
func (p *play) createOthers() {
	for range 100 {
		p.controller.throttle.Created(testNamespace)
	}
}

// An edit of a MiniCluster whose first status is still to be written is a change that its user waits for.
func TestEditBeforeFirstStatus(t *testing.T) {
	p := newPlay(t, nil)
	p.createOthers()
	key := cache.NewObjectName(testNamespace, "a")
	p.seeAll()
	p.work(1)
	require.Empty(t, p.cluster("a").Status.Conditions)
	p.editFields("a", 0)
	p.seeAll()
	require.NotEqual(t, int64(status.FirstGeneration), p.cluster("a").Generation)
	assert.Equal(t, priorityChange, p.controller.priorityOf(key))
}
