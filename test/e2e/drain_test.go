package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// drainPatience is long: a job has to end, and the controller has to restart.
const drainPatience = 4 * time.Minute

func patchSpec(t *testing.T, kube *node.Node, namespace, name string, spec map[string]any) {
	t.Helper()
	fixtureIn(t, kube, namespace).Patch(name, map[string]any{"spec": spec})
}

func draining(t *testing.T, kube *node.Node, namespace, name, message string) {
	t.Helper()
	fixtureIn(t, kube, namespace).WaitFor(name, user.HasReason(v1alpha2.ConditionProgressing, v1alpha2.ReasonDraining, message))
}

// hasEvent reports whether an event was sent.
func hasEvent(t *testing.T, kube *node.Node, namespace, name, reason string) bool {
	t.Helper()
	events, err := kube.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name + ",reason=" + reason})
	require.NoError(t, err)
	return len(events.Items) > 0
}

func gone(t *testing.T, kube *node.Node, namespace, name string, left int) []corev1.Pod {
	t.Helper()
	return eventuallyPods(t, kube, namespace, user.Selector(name), drainPatience, func(pods []corev1.Pod) bool { return len(pods) == left })
}

// TestShrinkInOrder checks that ranks are drained before their pods are removed.
func TestShrinkInOrder(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	const name = "orderly"
	pods := start(t, kube, namespace, name, 4, interactive(name, 4))
	lead := pods[0]
	eventuallyNodes(t, kube, lead, "free", 4)
	occupy := func() string {
		job := strings.TrimSpace(flux(t, kube, lead, "submit", "-N4", "sleep", "600"))
		eventuallyNodes(t, kube, lead, "allocated", 4)
		return job
	}
	end := func(job string) { flux(t, kube, lead, "cancel", job) }

	t.Run("a change of mind", func(t *testing.T) {
		job := occupy()
		scale(t, kube, namespace, name, 2)
		draining(t, kube, namespace, name, "ranks 2-3 busy, job ƒ")
		assert.Contains(t, flux(t, kube, lead, "resource", "drain"), "scale-down")
		scale(t, kube, namespace, name, 4)
		f := fixtureIn(t, kube, namespace)
		f.Interval = 10 * pollInterval
		f.Eventually("ranks to be undrained", func(ctx context.Context) (string, error) {
			drained, err := kube.Exec(ctx, namespace, lead.Name, "", agent, "flux", "--", "resource", "drain")
			if err != nil || strings.Contains(drained, "scale-down") {
				return drained, err
			}
			return "", nil
		})
		assertSamePods(t, pods, gone(t, kube, namespace, name, 4))
		end(job)
		eventuallyNodes(t, kube, lead, "free", 4)
	})
	t.Run("the controller is replaced meanwhile", func(t *testing.T) {
		job := occupy()
		scale(t, kube, namespace, name, 2)
		draining(t, kube, namespace, name, "ranks 2-3 busy, job ƒ")
		_, err := kube.Kubectl(t.Context(), "rollout", "restart", "deployment/"+controllerName, "--namespace="+systemNamespace)
		require.NoError(t, err)
		_, err = kube.Kubectl(t.Context(), "rollout", "status", "deployment/"+controllerName, "--namespace="+systemNamespace, "--timeout="+readyPatience.String())
		require.NoError(t, err)
		draining(t, kube, namespace, name, "ranks 2-3")
		assertSamePods(t, pods, gone(t, kube, namespace, name, 4))
		end(job)
		assertSamePods(t, pods[:2], gone(t, kube, namespace, name, 2))
		eventuallyNodes(t, kube, lead, "free", 2)
	})
	t.Run("growth undrains ranks, except those that an administrator drained", func(t *testing.T) {
		scale(t, kube, namespace, name, 4)
		eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, areReady(4))
		eventuallyNodes(t, kube, lead, "free", 4)
		flux(t, kube, lead, "resource", "drain", "3", "fan")
		scale(t, kube, namespace, name, 3)
		gone(t, kube, namespace, name, 3)
		scale(t, kube, namespace, name, 4)
		eventuallyPods(t, kube, namespace, user.Selector(name), readyPatience, areReady(4))
		drained := flux(t, kube, lead, "resource", "drain")
		assert.Contains(t, drained, "fan")
		assert.NotContains(t, drained, "scale-down")
		flux(t, kube, lead, "resource", "undrain", "3")
	})
	t.Run("a timeout of 0", func(t *testing.T) {
		occupy() // it ends with the pod
		patchSpec(t, kube, namespace, name, map[string]any{"size": 3, "scaleDown": map[string]any{"drainTimeoutSeconds": 0}})
		begin := time.Now()
		gone(t, kube, namespace, name, 3)
		t.Logf("the pod was deleted %.2f s after the size was written", time.Since(begin).Seconds())
	})
	f := fixtureIn(t, kube, namespace)
	f.WaitForEvent(name, "Draining")
	// The controller writes events in the background. An earlier one has arrived when it has written that about a later
	// size.
	scale(t, kube, namespace, name, 9)
	f.WaitForEvent(name, "ScaleRejected")
	assert.False(t, hasEvent(t, kube, namespace, name, "DrainSkipped"))
}

// TestShrinkWithoutAgent checks an agent that does not respond: its process is stopped, and the kernel accepts
// connections.
func TestShrinkWithoutAgent(t *testing.T) {
	kube, namespace := shared(t)
	const name = "hung"
	pods := start(t, kube, namespace, name, 3, strings.Replace(interactive(name, 3), "  interactive: true\n",
		"  interactive: true\n  shareProcessNamespace: true\n", 1))
	execute(t, kube, pods[0], "sh", "-c", `for p in /proc/[0-9]*; do case $(cat $p/cmdline 2>/dev/null | tr '\0' ' ') in "`+agent+` run"*) kill -STOP ${p#/proc/};; esac; done`)
	begin := time.Now()
	scale(t, kube, namespace, name, 2)
	gone(t, kube, namespace, name, 2)
	took := time.Since(begin)
	t.Logf("the pod was deleted %.2f s after the size was written", took.Seconds())
	assert.GreaterOrEqual(t, took, 10*time.Second)
	fixtureIn(t, kube, namespace).WaitForEvent(name, "DrainSkipped")
	execute(t, kube, pods[0], "sh", "-c", `for p in /proc/[0-9]*; do case $(cat $p/cmdline 2>/dev/null | tr '\0' ' ') in "`+agent+` run"*) kill -CONT ${p#/proc/};; esac; done`)
}
