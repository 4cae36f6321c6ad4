package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// minute runs the controller for a minute in which something does not end, in steps of 100 ms, and counts the
// requests.
func (p *play) minute() int {
	return p.requests(func() {
		for range 600 {
			p.clock.Step(100 * time.Millisecond)
			p.collectGarbage()
			p.runJobs()
			p.runPods(true)
			for _, r := range cachedResources[1:] {
				p.see(r, len(p.pending[r]))
			}
			p.work(5)
		}
	})
}

// A Service that is being deleted, and that a finalizer keeps, causes no repeated requests, and the status reports
// it. A Job that still has the Service is managed.
func TestServiceThatStays(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	edit(p.world, services, "a", func(s *corev1.Service) {
		s.Finalizers, s.DeletionTimestamp = []string{"example.org/keep"}, &metav1.Time{Time: p.clock.Now()}
	})
	p.calm()
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = nil })
	p.calm()
	assert.EqualValues(t, 1, p.cluster("a").Status.Size, "it can be resized")

	p.deleteJob("a", false)
	p.calm()
	assert.Less(t, p.minute(), 100, "requests in a minute")
	progressing := p.condition("a", v1alpha2.ConditionProgressing)
	assert.Equal(t, v1alpha2.ReasonWaiting, progressing.Reason)
	assert.Contains(t, progressing.Message, `waiting for Service "a", which is being deleted`)

	p.remove(services, "a")
	p.clock.Step(waitMax)
	p.calm()
	assert.Equal(t, v1alpha2.ReasonReady, p.condition("a", v1alpha2.ConditionReady).Reason)
}

// TestReserveIsCorrected: the reserve may change at any time, and an invalid one stops nothing.
func TestReserveIsCorrected(t *testing.T) {
	p := newPlay(t, nil)
	reserve := func(text string) {
		edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Opportunistic = &v1alpha2.Opportunistic{Reserve: map[corev1.ResourceName]intstr.IntOrString{"cpu": intstr.Parse(text)}}
		})
		p.calm()
	}
	accepted := func() string { return p.condition("a", v1alpha2.ConditionAccepted).Reason }
	reserve("much")
	require.Equal(t, v1alpha2.ReasonInvalid, accepted())
	reserve("1")
	require.Equal(t, v1alpha2.ReasonReady, p.condition("a", v1alpha2.ConditionReady).Reason)
	reserve("much")
	assert.Equal(t, v1alpha2.ReasonInvalid, accepted())
	reserve("1")
	assert.Equal(t, v1alpha2.ReasonValid, accepted())
}

// The deletion of a MiniCluster whose watch hangs is checked for from time to time.
func TestDeletedWhileTheWatchHangs(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	p.remove(miniclusters, "a")
	assert.Less(t, p.minute(), 100, "requests in a minute")
	assert.Empty(t, p.objects[jobs])
}

// MiniClusters that share a Service are not synced when another one is added or removed.
func TestSharedServiceWakesFew(t *testing.T) {
	p := newPlay(t, nil)
	p.controller.maxOwners = maxOwners
	p.remove(miniclusters, "a")
	syncs := func(during func()) int {
		p.calm()
		p.trace = nil
		during()
		p.calm()
		n := 0
		for _, line := range p.trace {
			if line == "sync" {
				n++
			}
		}
		return n
	}
	share := func(name string) func() {
		return func() {
			_, err := p.create(miniclusters, newMiniCluster(name, 32))
			require.NoError(t, err)
		}
	}
	few := 0
	for i := range 10 {
		few = max(few, syncs(share(fmt.Sprintf("mc-%d", i))))
	}
	assert.LessOrEqual(t, few, 6, "syncs for a new MiniCluster")
	assert.LessOrEqual(t, syncs(func() { p.remove(miniclusters, "mc-9") }), 2, "syncs for a deleted MiniCluster")

	edit(p.world, services, "shared", func(s *corev1.Service) {
		s.OwnerReferences = s.OwnerReferences[1:]
	})
	p.calm()
	assert.Len(t, p.objects[services]["shared"].GetOwnerReferences(), 9, "a removed owner is restored")
}

// A replaced lead does not wait for more ranks than another client has left to the Job.
func TestQuorumOfAJobResizedElsewhere(t *testing.T) {
	p := newPlay(t, nil)
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(5)) })
	p.calm()
	edit(p.world, jobs, "a", func(job *batchv1.Job) { job.Spec.Parallelism = new(int32(2)) })
	p.calm()
	require.Equal(t, v1alpha2.ReasonJobResizedExternally, p.condition("a", v1alpha2.ConditionScalingLimited).Reason)
	assert.Equal(t, "2", p.objects[configmaps]["a-config"].(*corev1.ConfigMap).Data[resources.KeyQuorum])
	assert.Zero(t, p.minute(), "requests afterwards")
}

// A Service that many MiniClusters share has few owners. The others keep it when the owners are deleted.
func TestSharedServiceHasFewOwners(t *testing.T) {
	p := newPlay(t, nil)
	p.controller.maxOwners = 4
	p.remove(miniclusters, "a")
	owners := func() int { return len(p.objects[services]["shared"].GetOwnerReferences()) }
	for i := range 12 {
		_, err := p.create(miniclusters, newMiniCluster(fmt.Sprintf("mc-%d", i), 32))
		require.NoError(t, err)
		p.calm()
		assert.Equal(t, min(i+1, 4), owners())
		assert.Equal(t, v1alpha2.ReasonReady, p.condition(fmt.Sprintf("mc-%d", i), v1alpha2.ConditionReady).Reason)
	}
	for i := range 11 {
		p.remove(miniclusters, fmt.Sprintf("mc-%d", i))
		p.calm()
		require.NotNil(t, p.objects[services]["shared"])
		assert.GreaterOrEqual(t, owners(), min(2, 11-i), "owners after %d deletions", i+1)
	}
	p.remove(miniclusters, "mc-11")
	p.calm()
	assert.Nil(t, p.objects[services]["shared"], "nobody uses it")

	// All owners are deleted at once.
	for i := range 6 {
		_, err := p.create(miniclusters, newMiniCluster(fmt.Sprintf("mc-%d", i), 32))
		require.NoError(t, err)
		p.calm()
	}
	for _, owner := range p.objects[services]["shared"].GetOwnerReferences() {
		p.remove(miniclusters, owner.Name)
	}
	p.calm()
	require.NotNil(t, p.objects[services]["shared"], "it is created again")
	assert.Equal(t, 2, owners())
}
