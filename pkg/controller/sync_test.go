package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// calm processes everything that is due, until nothing more is due now.
func (p *play) calm() {
	for range 20 {
		p.collectGarbage()
		p.runJobs()
		p.runPods(true)
		p.seeAll()
		p.work(20)
		p.clock.Step(100 * time.Millisecond)
	}
}

func (p *play) condition(name, kind string) *metav1.Condition {
	p.Helper()
	c := meta.FindStatusCondition(p.cluster(name).Status.Conditions, kind)
	require.NotNil(p, c, kind)
	return c
}

// requests counts the requests of the controller during a time.
func (p *play) requests(during func()) int {
	before := p.calls
	during()
	return p.calls - before
}

// A delayed status must not reset the number of failures of a sync that failed.
func TestFailuresAreCountedWhileTheStatusWaits(t *testing.T) {
	p := newPlay(t, nil)
	p.seeAll()
	p.work(5)
	p.seeAll()
	p.work(5)
	p.remove(configmaps, "a-config")
	p.runJobs()
	p.runPods(false)
	p.seeAll()
	p.faults = []fault{{err: apierrors.NewInternalError(errors.New("injected"))}, {err: apierrors.NewInternalError(errors.New("injected"))}}
	key := cache.NewObjectName(testNamespace, "a")
	writes := p.cluster("a").ResourceVersion
	p.work(1)
	assert.Equal(t, 1, p.queue.failures[key])
	assert.Equal(t, writes, p.cluster("a").ResourceVersion, "the status was written less than a second ago")
	p.clock.Step(time.Minute)
	p.work(1)
	assert.Equal(t, 2, p.queue.failures[key])
	require.NotEqual(t, writes, p.cluster("a").ResourceVersion, "the status is due")
}

// No event reports that a lost Secret was restored. The controller reads it once a minute, and never while it exists.
func TestSecretIsBroughtBack(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	minutes := func(n int) func() {
		return func() {
			for range n {
				p.clock.Step(time.Minute)
				p.calm()
			}
		}
	}
	assert.Zero(t, p.requests(minutes(3)), "requests while the Secret exists")

	secret := p.objects[secrets][resources.SecretName(p.cluster("a"))].DeepCopyObject().(*corev1.Secret)
	p.remove(secrets, secret.Name)
	p.calm()
	require.Equal(t, v1alpha2.ReasonCertificateLost, p.condition("a", v1alpha2.ConditionReady).Reason)
	assert.Equal(t, 5, p.requests(minutes(5)), "one request a minute")

	_, err := p.create(secrets, secret)
	require.NoError(t, err)
	minutes(1)()
	assert.Equal(t, v1alpha2.ReasonReady, p.condition("a", v1alpha2.ConditionReady).Reason)
	assert.Zero(t, p.requests(minutes(3)), "requests after the Secret was restored")
}

// refuseJobs makes the API server reject every new Job while an error is set, and counts the attempts.
func (p *play) refuseJobs(err *error) (tries *int) {
	tries = new(int)
	p.kube.PrependReactor("create", "jobs", func(clienttesting.Action) (bool, runtime.Object, error) {
		*tries++
		return *err != nil, nil, *err
	})
	return tries
}

// A Job that a policy rejects is retried, at growing intervals, without an edit of the MiniCluster; a Job that is
// invalid is not.
func TestRefusedJob(t *testing.T) {
	for name, tc := range map[string]struct {
		err       error
		low, high int // attempts in the ten minutes after the first one
		again     bool
	}{
		"by policy": {policyError(), 10, 25, true},
		"by schema": {schemaError(), 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, nil)
			refusal := tc.err
			tries := p.refuseJobs(&refusal)
			p.calm()
			accepted := p.condition("a", v1alpha2.ConditionAccepted)
			require.Equal(t, v1alpha2.ReasonInvalid, accepted.Reason)
			assert.Contains(t, accepted.Message, tc.err.Error())
			*tries = 0
			for range 300 {
				p.clock.Step(2 * time.Second)
				p.work(1)
			}
			assert.GreaterOrEqual(t, *tries, tc.low)
			assert.LessOrEqual(t, *tries, tc.high)

			refusal = nil
			p.clock.Step(time.Minute)
			p.calm()
			_, made := p.objects[jobs]["a"].(*batchv1.Job)
			assert.Equal(t, tc.again, made)
			if tc.again {
				assert.Equal(t, v1alpha2.ReasonValid, p.condition("a", v1alpha2.ConditionAccepted).Reason)
			}
		})
	}
}

// A ConfigMap that is lost while the Job exists is created again if its content would be the same.
func TestLostConfigMap(t *testing.T) {
	timeout := func(s string) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{ConnectTimeout: s} }
	}
	for _, tc := range []struct {
		name string
		edit func(*v1alpha2.MiniCluster)
		lost string // part of the message
	}{
		{"no edit", func(*v1alpha2.MiniCluster) {}, ""},
		{"another size", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(1)) }, ""},
		{"an edit without effect on the configuration", func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{Labels: map[string]string{"x": "y"}} }, ""},
		{"an edit of the configuration", timeout("9s"), "restore spec.flux.connectTimeout,"},
		{"an invalid edit", timeout("soon"), "restore spec.flux.connectTimeout,"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlay(t, nil)
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(3)) })
			p.calm()
			conf := func() *corev1.ConfigMap {
				c, _ := p.objects[configmaps]["a-config"].(*corev1.ConfigMap)
				return c
			}
			was := conf().Data[resources.KeyBrokerConfig]
			original := p.cluster("a").Spec.DeepCopy()
			edit(p.world, miniclusters, "a", tc.edit)
			p.remove(configmaps, "a-config")
			p.calm()
			if tc.lost != "" {
				require.Nil(t, conf())
				ready := p.condition("a", v1alpha2.ConditionReady)
				assert.Equal(t, v1alpha2.ReasonConfigLost, ready.Reason)
				assert.Contains(t, ready.Message, tc.lost)
				assert.Contains(t, ready.Message, `delete Job "a"`)
				edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec = *original })
				p.calm()
			}
			require.NotNil(t, conf())
			assert.Equal(t, was, conf().Data[resources.KeyBrokerConfig])
			assert.Equal(t, v1alpha2.ReasonReady, p.condition("a", v1alpha2.ConditionReady).Reason)
		})
	}
}

// A MiniCluster that was deleted right after its creation leaves no trace outside this process: its status was never
// written. The controller creates nothing for it again.
func TestDeletedBeforeItsStatus(t *testing.T) {
	p := newPlay(t, nil)
	creates := 0
	p.reviews = append(p.reviews, func(verb string, _ cachedResource, _, _ apiObject) {
		if verb == "create" {
			creates++
		}
	})
	p.see(miniclusters, 1)
	p.remove(miniclusters, "a")
	for range 10 {
		p.work(5)
		p.collectGarbage()
		for _, r := range []cachedResource{jobs, configmaps, services} {
			p.see(r, len(p.pending[r]))
		}
		p.clock.Step(time.Second)
	}
	assert.Equal(t, 4, creates, "objects created for a deleted MiniCluster")
	assert.Empty(t, p.objects[jobs])
	p.seeAll()
	p.work(5)
	assert.Empty(t, p.controller.consistency.started, "remaining records")
}

// The deletion of an object may be seen before that of its MiniCluster, since each watch has its own delay. That
// costs no request: the MiniCluster is synced a moment later, when it is also deleted in the cache.
func TestWhatGoesWithItsOwnerCostsNoRequest(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	p.clock.Step(time.Minute) // the sync after a write
	p.calm()
	assert.Zero(t, p.requests(func() {
		p.remove(miniclusters, "a")
		p.collectGarbage()
		for _, r := range []cachedResource{jobs, services} {
			require.NotEmpty(t, p.pending[r])
			p.see(r, len(p.pending[r]))
		}
		p.clock.Step(staleRetry - 1)
		p.work(20)
		p.seeAll()
		p.clock.Step(time.Minute)
		p.work(20)
	}))
	assert.Empty(t, p.controller.consistency.started, "remaining records")
}

// An object that is deleted alone is created again, after the same delay.
func TestWhatIsDeletedAloneIsMadeAgain(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	p.remove(services, "a")
	p.seeAll()
	p.clock.Step(staleRetry)
	p.work(20)
	assert.Contains(t, p.objects[services], "a")
}
