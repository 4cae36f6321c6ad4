package nodes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/karpenter"
)

// Growth buys nodes, and a shrink returns them, after the delays of Karpenter alone.
func TestGrowth(t *testing.T) {
	f := newFixture(t, "growth")
	f.CreateReady("grows", 1, f.inPool("8"))
	require.Len(t, f.nodes(), 1)
	start := time.Now()
	f.SetSize("grows", 6)
	f.WaitFor("grows", f.Ready(6))
	t.Logf("growth from 1 to 6: all pods were ready on %d nodes after %s", len(f.nodes()), round(time.Since(start)))
	assert.Len(t, f.nodes(), 6)

	lead := f.pod("grows", 0)
	f.SetSize("grows", 1)
	f.WaitFor("grows", f.Ready(1))
	took := f.waitForNodes(1)
	t.Logf("shrink from 6 to 1: the nodes were gone %s after the pods; the delays of Karpenter are %s in total", took, f.delays())
	assert.Equal(t, []string{lead.Spec.NodeName}, f.nodes())
	assert.Equal(t, lead.UID, f.pod("grows", 0).UID)
}

// A node under a busy rank is to be deleted: the rank gets no more jobs, its job ends in time, and its pod is recreated
// on another node.
func TestBusyNodeIsDeleted(t *testing.T) {
	f := newFixture(t, "busy")
	f.CreateReady("busy", 3, f.inPool("8"))
	agent := agents.Of("busy")
	agent.Run(1)
	pod := f.pod("busy", 1)
	node := pod.Spec.NodeName

	start := time.Now()
	f.kubectl("delete", "--wait=false", "nodeclaim", f.claim(node))
	f.drained(agent, "1")
	t.Logf("the rank was drained %s after kubectl delete nodeclaim: %q", round(time.Since(start)), agent.Nodes())
	// Karpenter tried to evict the pod, and waits.
	f.nodeEvent(node, "FailedDraining")
	f.WaitFor("busy", func(mc *v1alpha2.MiniCluster) string {
		if d := mc.Status.NodeDrains; len(d) != 1 || d[0].Busy != "1" {
			return fmt.Sprintf("status.nodeDrains is %+v", d)
		}
		return ""
	})
	require.Equal(t, pod.UID, f.pod("busy", 1).UID, "the job runs on")

	agent.Run()
	ended := time.Now()
	moved := f.moved("busy", 1, pod.UID)
	ready := round(time.Since(ended))
	f.drained(agent)
	f.WaitFor("busy", f.Ready(3), noNodeDrains)
	undrained := round(time.Since(ended))
	f.gone(node)
	t.Logf("after the end of the job: another pod was ready after %s, its rank was undrained after %s, the node was gone after %s",
		ready, undrained, round(time.Since(ended)))
	assert.NotEqual(t, node, moved.Spec.NodeName)
}

// The job is stopped at the deadline of the MiniCluster.
func TestDeadline(t *testing.T) {
	f := newFixture(t, "deadline")
	f.CreateReady("deadline", 2, f.inPool("8", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Disruption = &v1alpha2.Disruption{DrainTimeoutSeconds: new(int32(10))}
	}))
	agents.Of("deadline").Run(1)
	pod := f.pod("deadline", 1)
	start := time.Now()
	f.kubectl("delete", "--wait=false", "nodeclaim", f.claim(pod.Spec.NodeName))
	f.WaitForEvent("deadline", "PodEvicted", pod.Name, "drainTimeoutSeconds")
	evicted := round(time.Since(start))
	f.moved("deadline", 1, pod.UID)
	f.gone(pod.Spec.NodeName)
	t.Logf("with drainTimeoutSeconds=10 the busy pod was evicted after %s, and the node was gone after %s", evicted, round(time.Since(start)))
	assert.GreaterOrEqual(t, evicted, 10*time.Second)
}

// Without a deadline of the MiniCluster, that of the NodePool ends the job: the pod is deleted early enough for its
// grace period.
func TestTerminationGracePeriod(t *testing.T) {
	f := newFixture(t, "grace", func(p *karpenter.Pool) { p.TerminationGracePeriod = 45 * time.Second })
	f.CreateReady("grace", 2, f.inPool("8"))
	agents.Of("grace").Run(1)
	pod := f.pod("grace", 1)
	start := time.Now()
	f.kubectl("delete", "--wait=false", "nodeclaim", f.claim(pod.Spec.NodeName))
	f.moved("grace", 1, pod.UID)
	t.Logf("with terminationGracePeriod=45s and pods with a grace period of %d s, another pod was ready after %s",
		*pod.Spec.TerminationGracePeriodSeconds, round(time.Since(start)))
	f.gone(pod.Spec.NodeName)
	t.Logf("the node was gone after %s", round(time.Since(start)))
}

// Karpenter does not touch nodes of busy ranks. With whenIdle: Allow, it removes that of an idle one.
func TestIdleNode(t *testing.T) {
	f := newFixture(t, "idle")
	// Another workload first has the room that the idle pod moves to.
	f.CreateReady("before", 1, f.inPool("6"))
	f.CreateReady("idle", 2, f.inPool("3", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Placement = v1alpha2.PlacementPack
		mc.Spec.Disruption = &v1alpha2.Disruption{WhenIdle: v1alpha2.WhenIdleAllow}
	}), func(*v1alpha2.MiniCluster) { agents.Of("idle").Run(0, 1) })
	require.Len(t, f.nodes(), 2)
	require.NoError(t, f.MiniClusters().Delete(t.Context(), "before", metav1.DeleteOptions{}))
	pods := []string{f.pod("idle", 0).Spec.NodeName, f.pod("idle", 1).Spec.NodeName}
	require.NotEqual(t, pods[0], pods[1])
	for _, node := range pods {
		f.nodeEvent(node, "DisruptionBlocked", "do-not-disrupt")
	}
	require.Len(t, f.nodes(), 2)
	pod := f.pod("idle", 1)
	assert.Equal(t, "true", pod.Annotations["karpenter.sh/do-not-disrupt"])

	agents.Of("idle").Run(0)
	idle := time.Now()
	f.Eventually("the annotation", func(context.Context) (string, error) {
		if now := f.pod("idle", 1); now != nil && now.UID == pod.UID && now.Annotations["karpenter.sh/do-not-disrupt"] != "" {
			return "it is still there", nil
		}
		return "", nil
	})
	t.Logf("the annotation was removed %s after the rank became idle (--idle-eviction-delay=%s)", round(time.Since(idle)), idleDelay)
	f.moved("idle", 1, pod.UID)
	f.gone(pods[1])
	t.Logf("the node was gone %s after the rank became idle", round(time.Since(idle)))
	f.WaitFor("idle", f.Ready(2), noNodeDrains)
	assert.Equal(t, pods[:1], f.nodes())
}

// Five pods of 9 cores: one machine or five.
func TestPlacement(t *testing.T) {
	for placement, nodes := range map[v1alpha2.Placement]int{v1alpha2.PlacementPack: 1, v1alpha2.PlacementSpread: 5} {
		t.Run(string(placement), func(t *testing.T) {
			f := newFixture(t, map[int]string{1: "pack", 5: "spread"}[nodes])
			f.CreateReady("placed", 5, f.inPool("9", func(mc *v1alpha2.MiniCluster) { mc.Spec.Placement = placement }))
			t.Logf("%s: %d nodes: %s", placement, len(f.nodes()), f.kubectl("get", "nodes", "--no-headers",
				"--selector="+karpenter.PoolLabel+"="+f.pool.Name, "--output=custom-columns=TYPE:.metadata.labels.node\\.kubernetes\\.io/instance-type"))
			assert.Len(t, f.nodes(), nodes)
		})
	}
}
