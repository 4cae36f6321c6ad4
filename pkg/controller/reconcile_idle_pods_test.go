package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/flux"
)

func TestIdleRanks(t *testing.T) {
	key := cache.NewObjectName("default", "one")
	r := newIdleRanks(5 * time.Minute)
	now := time.Unix(1_000_000, 0)
	observe := func(after time.Duration, free ...uint32) (string, bool) {
		now = now.Add(after)
		idle, changes := r.observe(key, "job", flux.IDs(free...), now)
		return idle.String(), changes
	}
	check := func(wantIdle string, wantChanges bool) func(string, bool) {
		return func(idle string, changes bool) {
			t.Helper()
			assert.Equal(t, wantIdle, idle)
			assert.Equal(t, wantChanges, changes)
		}
	}
	check("", true)(observe(0, 1, 2)) // pods may have been changed by an earlier process
	r.wrote(key, flux.IDSet{})
	assert.False(t, r.any(key))
	check("", false)(observe(4*time.Minute, 1, 2))
	check("", false)(observe(50*time.Second, 2))
	check("2", true)(observe(10*time.Second, 1, 2))
	check("2", true)(observe(0, 1, 2)) // until it was written
	r.wrote(key, flux.IDs(2))
	assert.True(t, r.any(key))
	check("2", false)(observe(time.Minute, 1, 2))
	check("", true)(observe(time.Minute, 1))
	r.forget(key)
	assert.False(t, r.any(key))
}

// TestIdlePodsThatAreBusyAgain: ranks that get jobs before all pods of idle ranks are written are protected again,
// although the set of idle ranks is the same as before.
func TestIdlePodsThatAreBusyAgain(t *testing.T) {
	const many = maxPodWrites + 50
	var all flux.IDSet
	r := newNodeRig(t)
	r.c.agents = agents.NewClient(nil, r.c.clock, nil, nil)
	pods := r.kube.CoreV1().Pods("ns")
	first, err := pods.Get(t.Context(), "a-1", metav1.GetOptions{})
	require.NoError(t, err)
	for i := 1; i <= many; i++ {
		all = all.Union(flux.IDs(uint32(i)))
		pod := first.DeepCopy()
		pod.Name, pod.UID, pod.Annotations[batchv1.JobCompletionIndexAnnotation] = fmt.Sprint("a-", i), types.UID(fmt.Sprint(i)), fmt.Sprint(i)
		if i > 1 {
			_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
			require.NoError(t, err)
		}
	}
	evictable := func() int {
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: v1alpha2.LabelRankState + "=" + v1alpha2.RankIdle})
		require.NoError(t, err)
		return len(list.Items)
	}
	settle := func(free flux.IDSet) {
		for range 2 {
			require.NoError(t, r.c.allowEviction(t.Context(), r.s, free))
		}
	}
	settle(flux.IDSet{})
	r.kube.ClearActions()
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, all))
	assert.Equal(t, maxPodWrites, evictable(), "the first of them")
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, all))
	assert.Equal(t, many, evictable())
	lists := 0
	for _, action := range r.kube.Actions() {
		if action.Matches("list", "pods") {
			lists++
		}
	}
	assert.Equal(t, 1+2, lists, "one for all writes, and two of this test")
	settle(flux.IDSet{})
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, all))
	last := flux.IDs(many)
	settle(last)
	assert.Equal(t, 1, evictable(), "only that of the last rank")
	require.NoError(t, r.c.allowEviction(t.Context(), r.s, all.Without(last)))
	pod, err := pods.Get(t.Context(), fmt.Sprint("a-", many), metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotContains(t, pod.Labels, v1alpha2.LabelRankState, "a pod that is busy is protected before others may be evicted")
	settle(flux.IDSet{})
	assert.Zero(t, evictable(), "all ranks are busy")
	assert.False(t, r.c.idleRanks.any(r.s.key))

	require.NoError(t, r.c.allowEviction(t.Context(), r.s, all))
	r.s.mc.Spec.Disruption = nil
	require.True(t, r.c.allowsEviction(r.s), "pods have to be protected again")
	settle(all)
	assert.Zero(t, evictable(), "the spec does not allow it any more")
	assert.False(t, r.c.allowsEviction(r.s))
}
