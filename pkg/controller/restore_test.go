package controller

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// soon lets time pass, as long as a sync may wait for a cache and a little more.
func (p *play) soon() {
	for range 15 {
		p.calm()
		p.clock.Step(time.Second)
	}
}

func (p *play) parallelism(name string) int32 {
	p.Helper()
	job, _ := p.objects[jobs][name].(*batchv1.Job)
	require.NotNil(p, job)
	return resources.Parallelism(job)
}

// After a restore of etcd, the caches never show the versions that the controller has
// written before.
func TestVersionThatNeverComes(t *testing.T) {
	for _, r := range []cachedResource{miniclusters, jobs, configmaps, services, pods} {
		t.Run(string(r), func(t *testing.T) {
			p := newPlay(t, []byte{})
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize = new(int32(2)), 4 })
			p.calm()
			p.controller.consistency.WroteAt(cache.NewObjectName(testNamespace, "a"), r, strconv.FormatInt(p.version+1_000_000, 10))
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(4)) })
			p.calm()
			require.Equal(t, int32(2), p.parallelism("a"), "it waits for the cache")
			p.soon()
			assert.Equal(t, int32(4), p.parallelism("a"))
			assert.Equal(t, 1, p.events["CacheOutdated"])
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(3)) })
			p.calm()
			assert.Equal(t, int32(3), p.parallelism("a"), "it does not wait again")
		})
	}
}

// A MiniCluster that was restored without its Job has a lower generation than the one that
// the Job records.
func TestGenerationGoesBackwards(t *testing.T) {
	p := newPlay(t, nil)
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize = new(int32(2)), 4 })
	p.calm()
	edit(p.world, jobs, "a", func(job *batchv1.Job) { job.Annotations[v1alpha2.AnnotationAppliedGeneration] = "99" })
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(4)) })
	p.calm()
	require.Equal(t, int32(2), p.parallelism("a"), "the cache may be behind")
	p.soon()
	assert.Equal(t, int32(4), p.parallelism("a"))
	assert.Equal(t, 1, p.events["Restored"])
	assert.Zero(t, p.requests(p.soon), "requests while all is well")
	p.start() // another leader
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(1)) })
	p.calm()
	assert.Equal(t, int32(1), p.parallelism("a"), "the record is right")
}

// A cache that shows nothing any more delays a MiniCluster, and does not stop it.
func TestWatchThatHangs(t *testing.T) {
	for _, hangs := range [][]cachedResource{{miniclusters}, {jobs}, {configmaps}, {services}, {miniclusters, jobs, configmaps, services}} {
		p := newPlay(t, nil)
		edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize = new(int32(2)), 4 })
		p.seeAll()
		for range 200 {
			for _, r := range cachedResources {
				if !slices.Contains(hangs, r) {
					p.see(r, len(p.pending[r]))
				}
			}
			p.collectGarbage()
			p.runJobs()
			p.runPods(true)
			p.work(20)
			p.clock.Step(time.Second)
		}
		assert.Equal(t, int32(2), p.parallelism("a"), "%v", hangs)
		assert.Equal(t, v1alpha2.ReasonReady, p.condition("a", v1alpha2.ConditionReady).Reason, "%v", hangs)
	}
}
