package controller

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Hibernate implements agents.Agent. The marker of a hibernation survives the lead. While it has the incarnation of the
// Job, the lead withholds its program.
func (a simAgent) Hibernate(_ context.Context, ip string, _ int, request control.Hibernate) (control.HibernateState, error) {
	p, b, lead := a.p, a.p.brokers, a.p.lead(a.job)
	if lead == nil || lead.Status.PodIP != ip || !b.calm && b.random.IntN(3) == 0 {
		return control.HibernateState{}, errors.New("connection refused")
	}
	mc, job := p.cluster(a.job), p.objects[jobs][a.job]
	if mc == nil || job == nil || b.mute {
		return control.HibernateState{}, errors.New("connection refused")
	}
	switch {
	case request.Query:
		return control.HibernateState{Phase: control.PhaseRunning, IdleSeconds: int64(b.random.IntN(20))}, nil
	case request.Cancel:
		delete(b.markers, mc.UID)
		return control.HibernateState{Phase: control.PhaseRunning}, nil
	}
	b.markers[mc.UID] = job.GetAnnotations()[v1alpha2.AnnotationIncarnation]
	if !b.calm && b.random.IntN(2) == 0 {
		return control.HibernateState{Phase: control.PhaseDraining, Running: b.random.IntN(2), Pending: b.random.IntN(2)}, nil
	}
	if b.keepNothing {
		return control.HibernateState{Phase: control.PhaseSaved}, nil
	}
	return control.HibernateState{Phase: control.PhaseSaved, Location: "/state/archive.tar", Checksum: "c0ffee"}, nil
}

// stopped reports whether a MiniCluster has no Job on purpose.
func (p *play) stopped(mc *v1alpha2.MiniCluster) bool {
	conf, _ := p.objects[configmaps][resources.ConfigMapName(mc)].(*corev1.ConfigMap)
	return resources.StopCause(mc, resources.PendingHibernation(mc, nil, conf)) != ""
}

// checkAwake checks that, once everything is settled, a cluster with a Job should have it, and that its lead runs its
// program.
func (p *play) checkAwake(mc *v1alpha2.MiniCluster, job *batchv1.Job, terminal bool) {
	if p.lead(mc.Name) == nil || terminal || resources.LeadCompleted(job) || !resources.CreatedByController(job) || p.objects[secrets][resources.SecretName(mc)] == nil {
		return
	}
	if cause := resources.StopCause(mc, nil); cause != "" {
		p.violated("%s has settled and runs, but should not: %s", mc.Name, cause)
	}
	if incarnation, ok := p.brokers.markers[mc.UID]; ok && incarnation == job.Annotations[v1alpha2.AnnotationIncarnation] {
		p.violated("%s has settled, and its lead withholds its program", mc.Name)
	}
	if mc.Status.Hibernation != nil {
		p.violated("%s has settled and runs, and reports a hibernation: %+v", mc.Name, mc.Status.Hibernation)
	}
}

// startHibernating starts a controller and a MiniCluster that can hibernate.
func startHibernating(t *testing.T, sequence []byte) *play {
	p := startPlay(t, sequence, variant{agents: true})
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Size, mc.Spec.MaxSize = new(int32(2)), 4
		mc.Spec.Interactive = true
		mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/archive.tar"}
		mc.Spec.Hibernation = &v1alpha2.Hibernation{ScaleToZero: true}
	})
	p.calm()
	return p
}

func suspendTo(suspend bool) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Suspend = suspend }
}

// TestRandomHibernations runs random sequences of operations that affect hibernations.
func TestRandomHibernations(t *testing.T) {
	random := rand.New(rand.NewPCG(*syncSeed, 4))
	for i := range *randomSyncs / 5 {
		t.Run(strconv.Itoa(i), func(t *testing.T) { playHibernations(t, random, randomSequence(random)) })
	}
}

func playHibernations(t *testing.T, random *rand.Rand, sequence []byte) {
	p := startHibernating(t, sequence)
	for range 30 + random.IntN(50) {
		arg := byte(random.Uint32())
		switch n := random.IntN(24); n {
		case 0, 1, 2:
			p.logf("suspend: %t", arg%2 == 0)
			edit(p.world, miniclusters, "a", suspendTo(arg%2 == 0))
		case 3, 4:
			p.logf("size %d", arg%5)
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(arg % 5)) })
		case 5:
			p.logf("the size is removed")
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = nil })
		case 6:
			p.logf("idle and changes: %d", arg%4)
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Hibernation = &v1alpha2.Hibernation{
					ScaleToZero: true, IdleTimeoutSeconds: 10 * int32(arg%2), RestartForChanges: []v1alpha2.RestartForChanges{v1alpha2.RestartNever, v1alpha2.RestartWhenIdle}[arg/2%2],
				}
			})
		case 7:
			p.logf("label %d", arg%3)
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Pod = &v1alpha2.PodSpec{Labels: map[string]string{"x": strconv.Itoa(int(arg % 3))}}
			})
		case 8:
			p.logf("the controller is killed")
			p.start()
		case 9:
			p.fail("a", arg)
		case 10:
			p.logf("deleted: %d", arg%6)
			switch arg % 6 {
			case 0, 1:
				p.deleteJob("a", arg&64 != 0)
			case 2:
				p.remove(configmaps, "a-config")
			case 3:
				if lead := p.lead("a"); lead != nil {
					p.remove(podObjects, lead.Name)
				}
			}
		case 11:
			p.collectGarbage()
		case 12, 13:
			p.runJobs()
		case 14, 15:
			p.runPods(arg%2 == 0)
		default:
			p.clock.Step(time.Duration(arg) * 10 * time.Millisecond)
			p.seeAll()
			p.work(2)
		}
		p.checkObjects()
	}
	p.settle()
}

// TestJobDeletedWhileHibernating: a Job that is deleted by something else before its state is saved is created again
// with another incarnation, because the lead would otherwise withhold its program.
func TestJobDeletedWhileHibernating(t *testing.T) {
	for _, suspended := range []bool{true, false} {
		p := startHibernating(t, nil)
		p.brokers.calm = true
		require.NotNil(t, p.lead("a"))
		p.brokers.markers[p.cluster("a").UID] = "" // the queues are stopped
		edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Suspend = suspended
			mc.Status.Hibernation = &v1alpha2.HibernationStatus{Cause: v1alpha2.CauseSuspend}
		})
		p.deleteJob("a", false)
		p.calm()
		edit(p.world, miniclusters, "a", suspendTo(false))
		p.calm()
		p.settle()
		assert.NotNil(t, p.objects[jobs]["a"])
	}
}

// TestHibernateWithoutConfigMap: a cluster whose ConfigMap is lost, and cannot be created again, hibernates.
func TestHibernateWithoutConfigMap(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm = true
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{ConnectTimeout: "9s"} })
	p.remove(configmaps, "a-config")
	p.calm()
	ready := meta.FindStatusCondition(p.cluster("a").Status.Conditions, v1alpha2.ConditionReady)
	require.Equal(t, v1alpha2.ReasonConfigLost, ready.Reason)
	edit(p.world, miniclusters, "a", suspendTo(true))
	p.soon()
	assert.Nil(t, p.objects[jobs]["a"])
	assert.True(t, p.cluster("a").Hibernates())
	edit(p.world, miniclusters, "a", suspendTo(false))
	p.soon()
	p.settle()
	assert.NotNil(t, p.objects[jobs]["a"])
}

// TestDeadlineOfNextHibernation: the status of the hibernation before does not shorten the next one.
func TestDeadlineOfNextHibernation(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm = true
	edit(p.world, miniclusters, "a", suspendTo(true))
	p.soon()
	before := p.cluster("a").Status.DeepCopy()
	require.NotNil(t, before.Hibernation)
	p.clock.Step(24 * time.Hour)
	edit(p.world, miniclusters, "a", suspendTo(false))
	p.soon()
	require.NotNil(t, p.objects[jobs]["a"])
	p.logf("the status of the new Job was not written, and the user suspends again")
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Status, mc.Spec.Suspend = *before, true })
	p.start()
	p.seeAll()
	p.work(1)
	require.NotNil(t, p.cluster("a").Status.Hibernation.Deadline)
	assert.True(t, p.cluster("a").Status.Hibernation.Deadline.After(p.clock.Now()))
}

// TestArchiveAddedWhileRunning: pods without an archive are not deleted if the spec has one meanwhile.
func TestArchiveAddedWhileRunning(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm, p.brokers.keepNothing = true, true
	edit(p.world, miniclusters, "a", suspendTo(true))
	p.soon()
	require.NotNil(t, p.objects[jobs]["a"])
	hibernated := meta.FindStatusCondition(p.cluster("a").Status.Conditions, v1alpha2.ConditionHibernated)
	assert.Equal(t, v1alpha2.ReasonSaveFailed, hibernated.Reason)
	assert.Equal(t, 1, p.events[v1alpha2.ReasonSaveFailed], "it is reported once")
	version := p.cluster("a").ResourceVersion
	p.soon()
	assert.Equal(t, version, p.cluster("a").ResourceVersion, "its status does not change while it is tried again")
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Hibernation.State = v1alpha2.HibernationDiscard })
	p.soon()
	assert.Nil(t, p.objects[jobs]["a"])
}

// TestRestartPostponed: a cluster that would restart for changes, but whose state can't be saved, continues to run its
// jobs, reports that once, and tries again after times that grow.
func TestRestartPostponed(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm, p.brokers.keepNothing = true, true
	before := p.objects[jobs]["a"].GetUID()
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Hibernation.RestartForChanges, mc.Spec.Tasks = v1alpha2.RestartWhenIdle, new(int32(7))
	})
	p.soon()
	hibernated := meta.FindStatusCondition(p.cluster("a").Status.Conditions, v1alpha2.ConditionHibernated)
	require.NotNil(t, hibernated)
	assert.Equal(t, v1alpha2.ReasonSaveFailed, hibernated.Reason)
	assert.Contains(t, hibernated.Message, "the cluster continues to run")
	assert.Equal(t, before, p.objects[jobs]["a"].GetUID())
	assert.Empty(t, p.brokers.markers, "its queues run")
	assert.Nil(t, p.cluster("a").Status.Hibernation)
	assert.Equal(t, 1, p.events[v1alpha2.ReasonSaveFailed])

	p.brokers.keepNothing = false
	p.clock.Step(2 * time.Minute)
	p.soon()
	p.settle()
	require.NotNil(t, p.objects[jobs]["a"])
	assert.NotEqual(t, before, p.objects[jobs]["a"].GetUID())
}

// TestGraceIsNotShortened: the time in the status has whole seconds, and must not be earlier than the request.
func TestGraceIsNotShortened(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm = true
	p.clock.Step(900 * time.Millisecond)
	requested := p.clock.Now()
	edit(p.world, miniclusters, "a", suspendTo(true))
	p.seeAll()
	p.work(1)
	h := p.cluster("a").Status.Hibernation
	require.NotNil(t, h)
	assert.False(t, h.Deadline.Time.Before(requested.Add(resources.HibernationGrace(p.cluster("a")))), "%v, requested at %v", h.Deadline, requested)
}

// TestDiscardWithoutAnswer: a cluster whose state is to be discarded stops although its agent does not answer, and the
// next lead discards the state.
func TestDiscardWithoutAnswer(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm, p.brokers.mute = true, true
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Hibernation.State, mc.Spec.Hibernation.GracePeriodSeconds = v1alpha2.HibernationDiscard, new(int32(1))
		mc.Spec.Suspend = true
	})
	p.soon()
	require.Nil(t, p.objects[jobs]["a"])
	edit(p.world, miniclusters, "a", suspendTo(false))
	p.soon()
	p.settle()
	job, ok := p.objects[jobs]["a"].(*batchv1.Job)
	require.True(t, ok)
	config, ok := p.objects[configmaps]["a-config"].(*corev1.ConfigMap)
	require.True(t, ok)
	assert.True(t, resources.ResolveFixed(p.cluster("a"), job, config).Discard)
	assert.Contains(t, config.Data[plan.FilePlan], `"discard": true`)
}

// TestRestartWithForbiddenVolume: changes with which the cluster would not start are reported and do not restart it.
func TestRestartWithForbiddenVolume(t *testing.T) {
	p := startHibernating(t, nil)
	p.brokers.calm = true
	p.controller.environment.AllowHostPathVolumes = false
	before := p.objects[jobs]["a"].GetUID()
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Hibernation.RestartForChanges = v1alpha2.RestartWhenIdle
		mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"data": {Path: "/data", StorageClass: resources.StorageHostPath}}
	})
	p.soon()
	require.NotNil(t, p.objects[jobs]["a"])
	assert.Equal(t, before, p.objects[jobs]["a"].GetUID())
	accepted := meta.FindStatusCondition(p.cluster("a").Status.Conditions, v1alpha2.ConditionAccepted)
	assert.Equal(t, metav1.ConditionFalse, accepted.Status)
	assert.Contains(t, accepted.Message, "hostpath")
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Volumes, mc.Spec.Tasks = nil, new(int32(7)) })
	p.soon()
	require.NotNil(t, p.objects[jobs]["a"])
	assert.NotEqual(t, before, p.objects[jobs]["a"].GetUID())
}
