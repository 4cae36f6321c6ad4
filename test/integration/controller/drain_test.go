package controller_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func draining(size int32) check {
	return func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.Drain; d == nil || d.Size != size {
			return "it does not drain for that size"
		}
		return has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, "waiting for 1 job")(mc)
	}
}

func notDraining(mc *v1alpha2.MiniCluster) string {
	if mc.Status.Drain != nil {
		return "it drains"
	}
	return ""
}

// asked waits until a size is the last one that an agent was asked for.
func (f *fixture) asked(name string, size int) {
	f.Helper()
	f.eventually("the agent to be asked", func(context.Context) (string, error) {
		if sizes := agents.Of(name).Sizes(); len(sizes) == 0 || sizes[len(sizes)-1] != size {
			return "not yet", nil
		}
		return "", nil
	})
}

// A shrink waits for jobs on removed ranks; the latest request applies.
func TestShrinkWaitsForJobs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("waits")
	agent.Busy(2)
	f.createReady("waits", 4)
	sizes := f.jobSizes("waits")
	f.setSize("waits", 2)
	f.waitFor("waits", draining(2), has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, "from 4 to 2"))
	f.waitForEvent("waits", "Draining", "from 4 to 2")
	f.setSize("waits", 3)
	f.waitFor("waits", draining(3))
	f.setSize("waits", 4)
	f.waitFor("waits", f.ready(4), notDraining, has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonStable))
	f.setSize("waits", 1)
	f.waitFor("waits", draining(1))
	agent.Busy(0)
	f.waitFor("waits", f.ready(1), notDraining)
	f.setSize("waits", 4)
	f.waitFor("waits", f.ready(4))
	assert.Equal(t, []int{2, 3, 4, 1, 4}, agent.Sizes())
	for _, n := range sizes() {
		assert.Contains(t, []int32{4, 1}, n, "a size of the Job")
	}
	assert.Regexp(t, `minicluster_drains_total{result="idle"} [1-9]`, running.exposed(t))
	assert.Regexp(t, `minicluster_status_condition{condition="Ready",reason="Ready",status="True"} [1-9]`, running.exposed(t))
	assert.NotContains(t, f.job("waits").Annotations, v1alpha2.AnnotationDrainedFrom)
}

// The wait ends after the time in the spec; 0 disables it.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agents.Of("timed").Busy(1)
	f.createReady("timed", 3)
	timeout := func(seconds int) map[string]any {
		return map[string]any{"scaleDown": map[string]any{"drainTimeoutSeconds": seconds}}
	}
	f.patch("timed", map[string]any{"spec": timeout(3)})
	f.setSize("timed", 2)
	f.waitFor("timed", f.ready(2), notDraining)
	f.waitForEvent("timed", "DrainTimedOut", "size 2", "3s")
	assert.Regexp(t, `minicluster_drains_total{result="timed_out"} [1-9]`, running.exposed(t))

	f.patch("timed", map[string]any{"spec": timeout(600)})
	f.setSize("timed", 1)
	f.waitFor("timed", draining(1))
	f.patch("timed", map[string]any{"spec": timeout(0)})
	f.waitFor("timed", f.ready(1), notDraining)
}

// passes waits until a state of a MiniCluster since a given one passes a check. It watches: a state that lasts only
// seconds may be over before a busy machine reads it.
func (f *fixture) passes(since *v1alpha2.MiniCluster, passes check) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	of := fields.OneTermEqualSelector("metadata.name", since.Name).String()
	last := "no state"
	_, err := watchtools.Until(ctx, since.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = of
			return f.MiniClusters().Watch(ctx, o)
		},
	}, func(e watch.Event) (bool, error) {
		if mc, ok := e.Object.(*v1alpha2.MiniCluster); ok {
			last = passes(mc)
		}
		return last == "", nil
	})
	require.NoError(f, err, "MiniCluster %s: %s", since.Name, last)
}

// An agent that cannot drain is retried for a while, and asked to undrain possibly drained ranks as soon as it can.
func TestDrainSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("skipped")
	agent.Busy(1)
	f.createReady("skipped", 4)
	f.setSize("skipped", 1)
	f.waitFor("skipped", draining(1))
	began := time.Now()
	agent.Refuse("there is no broker")
	f.passes(f.SetSize("skipped", 3), has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, "can't drain ranks"))
	f.waitFor("skipped", f.ready(3), notDraining)
	assert.Greater(t, time.Since(began), 9*time.Second)
	f.waitForEvent("skipped", "DrainSkipped", "size 3", "there is no broker")
	assert.Regexp(t, `minicluster_drains_total{result="skipped"} [1-9]`, running.exposed(t))
	assert.Equal(t, "1", f.job("skipped").Annotations[v1alpha2.AnnotationDrainedFrom], "ranks 1 and 2 may be drained")
	agent.Refuse("")
	f.asked("skipped", 3)
	f.eventually("the record to go", func(context.Context) (string, error) {
		if f.job("skipped").Annotations[v1alpha2.AnnotationDrainedFrom] != "3" {
			return "it is there", nil
		}
		return "", nil
	})
}

// A restarted controller continues the wait, including its start time.
func TestRestartWhileDraining(t *testing.T) {
	// Not parallel: it stops the controller.
	f := newFixture(t)
	agent := agents.Of("resumed")
	agent.Busy(2)
	f.createReady("resumed", 4)
	f.setSize("resumed", 2)
	since := f.waitFor("resumed", draining(2)).Status.Drain.Since
	running.halt(t)
	running.start(t)
	f.patch("resumed", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}})
	assert.Equal(t, since.UTC(), f.waitFor("resumed", draining(2)).Status.Drain.Since.UTC())

	// The size changes again while no controller runs.
	running.halt(t)
	f.setSize("resumed", 4)
	running.start(t)
	f.waitFor("resumed", f.ready(4), notDraining)
	f.asked("resumed", 4)
}

// TestDrainMessage: the condition says which jobs a drain waits for, and until when.
func TestDrainMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("named")
	end := time.Now().Add(time.Hour).Truncate(time.Minute)
	agent.Jobs(control.Job{ID: "ƒAbc", Expiration: float64(end.Unix())})
	agent.Busy(2)
	f.createReady("named", 3)
	f.setSize("named", 2)
	f.waitFor("named", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining,
		"draining to 2: rank 2 busy, job ƒAbc ends by its time limit at ", end.UTC().Format("15:04 UTC")))
	agent.Busy(0)
	f.waitFor("named", f.ready(2), notDraining)
}

// TestDrainWaits: with onUnreachable: Wait, ranks that can't be drained stay, whatever the timeout is.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("kept")
	agent.Refuse("there is no broker")
	f.createReady("kept", 3)
	sizes := f.jobSizes("kept")
	f.patch("kept", map[string]any{"spec": map[string]any{"size": 2, "scaleDown": map[string]any{"onUnreachable": "Wait", "drainTimeoutSeconds": 2}}})
	const keeps = "rank 2 can't be drained: the agent responded with 503: there is no broker; the Job keeps size 3"
	f.waitFor("kept", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, keeps))
	// The agent is asked repeatedly, for longer than the timeout of the flag, and the elapsed time is recorded.
	f.waitFor("kept", func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.Drain; d == nil || d.ElapsedSeconds < 12 {
			return "less than 12 s are recorded"
		}
		return has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, keeps)(mc)
	})
	for _, n := range sizes() {
		assert.EqualValues(t, 3, n, "a size that the Job saw")
	}
	agent.Refuse("")
	f.waitFor("kept", f.ready(2), notDraining)
}

// TestDrainBlocked: a network policy that blocks the port of the agent is named.
func TestDrainBlocked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agent := agents.Of("blocked")
	agent.Unreachable(true)
	f.createReady("blocked", 3)
	wait := map[string]any{"scaleDown": map[string]any{"onUnreachable": "Wait"}, "size": 2}
	f.patch("blocked", map[string]any{"spec": wait})
	f.waitFor("blocked", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining,
		"the pod is ready: a NetworkPolicy or a firewall may block TCP port 9561 from the controller"))
	policies := f.kube.NetworkingV1().NetworkPolicies(f.namespace)
	_, err := policies.Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "closed"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.waitFor("blocked", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining,
		`the pod is ready, and NetworkPolicy "closed" blocks TCP port 9561 from the controller`))
	agent.Unreachable(false)
	f.waitFor("blocked", f.ready(2), notDraining)
}
