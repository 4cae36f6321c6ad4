package plugin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// archived has something to keep the state in.
func archived(mc *v1alpha2.MiniCluster) {
	mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/archive.tar"}
}

// hibernates has no pods for a cause.
func hibernates(cause v1alpha2.HibernationCause) func(mc *v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		archived(mc)
		mc.Spec.Suspend = cause == v1alpha2.CauseSuspend
		if cause == v1alpha2.CauseScaledToZero {
			mc.Spec.Size = new(int32(0))
		}
		mc.Status.Size, mc.Status.ReadySize = 0, 0
		mc.Status.Hibernation = &v1alpha2.HibernationStatus{
			Since: metav1.NewTime(time.Now().Add(-2 * time.Hour)), Cause: cause, Size: 4, Demand: 6,
			Jobs: &v1alpha2.HibernatedJobs{Pending: 3, Held: 1}, Bytes: 1234, Location: "/state/archive.tar",
		}
		condition(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonHibernated, "3 pending jobs are kept")(mc)
	}
}

// controls plays the controller: it answers each patch of the spec with a status. It returns the patches.
func (f *fixture) controls() *[]string {
	var patches []string
	f.flux.PrependReactor("patch", "miniclusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchAction).GetPatch() //nolint:forcetypeassert // the reactor gets patches only
		patches = append(patches, string(patch))
		stored, err := f.flux.Tracker().Get(v1alpha2.SchemeGroupVersion.WithResource("miniclusters"), "team", "sample")
		require.NoError(f, err)
		mc := stored.(*v1alpha2.MiniCluster).DeepCopy() //nolint:forcetypeassert // the tracker has nothing else
		require.NoError(f, json.Unmarshal(patch, mc))
		if mc.Spec.Suspend {
			hibernates(v1alpha2.CauseSuspend)(mc)
			condition(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated, "3 pending jobs are kept")(mc)
		} else {
			mc.Status.Hibernation = nil
			condition(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady, "4 of 4 pods are ready")(mc)
		}
		mc.Generation++
		mc.Status.ObservedGeneration = mc.Generation
		return true, mc, f.flux.Tracker().Update(v1alpha2.SchemeGroupVersion.WithResource("miniclusters"), mc, "team")
	})
	return &patches
}

func TestSuspend(t *testing.T) {
	f := newFixture(t, sample(archived))
	f.controls()
	assert.Equal(t, "minicluster/sample: suspended\n", f.must("suspend", "sample"))
	assert.Equal(t, "minicluster/sample: 3 pending jobs are kept\n", f.err.String())

	f = newFixture(t, sample())
	patches := f.controls()
	_, err := f.run("suspend", "sample")
	require.ErrorContains(t, err, "has nothing to keep its jobs in (spec.archive.path or spec.flux.state): save them with `kubectl minicluster dump sample FILE`")
	assert.Empty(t, *patches)
	f.must("suspend", "sample", "--discard")
	assert.Equal(t, []string{`{"spec":{"suspend":true}}`}, *patches)

	_, err = newFixture(t, sample(archived)).run("suspend", "sample", "--timeout=300ms")
	require.ErrorContains(t, err, "MiniCluster sample does not hibernate after 300ms; it continues")
}

// Each cause of a hibernation is removed.
func TestResume(t *testing.T) {
	for name, test := range map[string]struct {
		cause v1alpha2.HibernationCause
		args  []string
		want  []string
	}{
		"suspended":      {v1alpha2.CauseSuspend, nil, []string{`{"spec":{"suspend":false}}`}},
		"another size":   {v1alpha2.CauseSuspend, []string{"--size=2"}, []string{`{"spec":{"size":2,"suspend":false}}`}},
		"scaled to zero": {v1alpha2.CauseScaledToZero, nil, []string{`{"spec":{"size":6,"suspend":false}}`}},
		"idle":           {v1alpha2.CauseIdle, nil, []string{`{"spec":{"suspend":true}}`, `{"spec":{"suspend":false}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, sample(hibernates(test.cause)))
			patches := f.controls()
			assert.Equal(t, "minicluster/sample: resumed\nminicluster/sample: Ready\n", f.must(append([]string{"resume", "sample"}, test.args...)...))
			assert.Equal(t, test.want, *patches)
		})
	}
	_, err := newFixture(t).run("resume", "sample", "--size=0")
	require.ErrorContains(t, err, "--size: 0: must be at least 1")
}

// Jobs wake a MiniCluster, and other commands explain how to.
func TestHibernating(t *testing.T) {
	mc := sample(hibernates(v1alpha2.CauseIdle))
	f := newFixture(t, append(podsOf(jobOf(t, sample(), 4, 4), 4), mc)...)
	f.executor.answers = map[string]string{"submit hostname": "ƒA\n"}
	patches := f.controls()
	_, err := f.run("submit", "--wake=false", "sample", "hostname")
	require.EqualError(t, err, "MiniCluster sample hibernates: wake it with `kubectl minicluster resume sample`")
	assert.Empty(t, *patches)
	out := f.must("status", "sample")
	assert.Contains(t, out, "  Hibernates  since 120m (Idle); 3 pending and 1 held jobs, 1234 bytes in /state/archive.tar, the jobs need size 6\n")
	assert.Contains(t, out, "  Next\n    kubectl minicluster resume sample\n")
	assert.NotContains(t, out, "!")
	out, err = f.run("doctor", "sample")
	require.Error(t, err, "there is no controller")
	assert.Contains(t, out, "ok       pods         there are none, because the MiniCluster hibernates")
	assert.Equal(t, "ƒA\n", f.must("submit", "sample", "hostname"))
	assert.Equal(t, "minicluster/sample: waking\nminicluster/sample: 3 pending jobs are kept\nminicluster/sample: Ready\n", f.err.String())
	assert.Len(t, *patches, 2)
	f.must("submit", "sample", "hostname")
	assert.Len(t, *patches, 2, "it is awake")

	f = newFixture(t, sample(hibernates(v1alpha2.CauseSuspend)))
	assert.Contains(t, f.must("scale", "sample", "3"), "it is suspended, and has the size when it wakes")
}

// TestCanceledHibernation: while the queues of a cluster that was not idle start again, there is no cause.
func TestCanceledHibernation(t *testing.T) {
	since := metav1.NewTime(time.Now().Add(-2 * time.Hour))
	assert.Equal(t, "since 120m", hibernation(&v1alpha2.HibernationStatus{Since: since}))
	assert.Equal(t, "since 120m (Idle)", hibernation(&v1alpha2.HibernationStatus{Since: since, Cause: v1alpha2.CauseIdle}))
}
