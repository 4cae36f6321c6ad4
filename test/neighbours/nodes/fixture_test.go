package nodes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/karpenter"
	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// fixture is a pool of nodes for the MiniClusters of one test.
type fixture struct {
	*user.Fixture
	pool karpenter.Pool
}

// newFixture creates a pool. Its nodes are removed 5 s after their last change, if Karpenter finds them unneeded.
func newFixture(t *testing.T, name string, mods ...func(*karpenter.Pool)) *fixture {
	t.Helper()
	neighbour.Need(t)
	f := &fixture{user.NewFixture(t, suite.Cluster(t)), karpenter.Pool{Name: name, ConsolidateAfter: 5 * time.Second}}
	for _, mod := range mods {
		mod(&f.pool)
	}
	require.NoError(t, f.pool.Create(t.Context(), f.Cluster))
	f.Report = func() string {
		out, err := f.Cluster.Kubectl(context.Background(), "get", "events,nodeclaims,pods", "-A")
		return fmt.Sprint(out, err)
	}
	t.Cleanup(func() {
		if err := f.pool.Delete(context.Background(), f.Cluster); err != nil {
			t.Error(err)
		}
	})
	return f
}

// inPool makes pods request cores of nodes of the pool.
func (f *fixture) inPool(cpu string, mods ...func(*v1alpha2.MiniCluster)) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Interactive = true
		mc.Spec.MaxSize = 8
		mc.Spec.Pod = &v1alpha2.PodSpec{NodeSelector: map[string]string{karpenter.PoolLabel: f.pool.Name}}
		cores := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: cores, Limits: cores}
		for _, mod := range mods {
			mod(mc)
		}
	}
}

// nodes returns the names of the nodes of the pool, including those that are being deleted.
func (f *fixture) nodes() (names []string) {
	f.Helper()
	list, err := f.Kube.CoreV1().Nodes().List(f.Context(), metav1.ListOptions{LabelSelector: karpenter.PoolLabel + "=" + f.pool.Name})
	require.NoError(f, err)
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}

// waitForNodes waits until the pool has a number of nodes, and returns how long that took.
func (f *fixture) waitForNodes(number int) time.Duration {
	f.Helper()
	start := time.Now()
	f.Eventually(fmt.Sprintf("%d nodes", number), func(context.Context) (string, error) {
		if n := f.nodes(); len(n) != number {
			return fmt.Sprintf("there are %q", n), nil
		}
		return "", nil
	})
	return round(time.Since(start))
}

// gone waits until a node does not exist, and returns how long that took.
func (f *fixture) gone(node string) time.Duration {
	f.Helper()
	start := time.Now()
	f.Eventually("the end of a node", func(context.Context) (string, error) {
		if slices.Contains(f.nodes(), node) {
			return node + " exists", nil
		}
		return "", nil
	})
	return round(time.Since(start))
}

// delays returns how long Karpenter takes to remove an empty node by its own delays.
func (f *fixture) delays() time.Duration {
	return f.pool.ConsolidateAfter + karpenter.DisruptionDelay + karpenter.ValidationDelay + karpenter.DrainDelay
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// pod returns the pod of an index that neither terminates nor has ended, nil if there is none.
func (f *fixture) pod(name string, index int32) *corev1.Pod {
	f.Helper()
	pods, err := user.ListPods(f.Context(), f.Kube, f.Namespace, user.Selector(name))
	require.NoError(f, err)
	for i := range pods {
		if pod := &pods[i]; user.IndexOf(*pod) == int(index) && pod.DeletionTimestamp == nil && !resources.PodEnded(pod) {
			return pod
		}
	}
	return nil
}

// moved waits until another pod of an index is ready, and returns it.
func (f *fixture) moved(name string, index int32, before types.UID) *corev1.Pod {
	f.Helper()
	var pod *corev1.Pod
	f.Eventually("another pod", func(context.Context) (string, error) {
		if pod = f.pod(name, index); pod == nil || pod.UID == before || !resources.PodReady(pod) {
			return "it is not ready", nil
		}
		return "", nil
	})
	return pod
}

func noNodeDrains(mc *v1alpha2.MiniCluster) string {
	if len(mc.Status.NodeDrains) > 0 {
		return fmt.Sprintf("status.nodeDrains is %+v", mc.Status.NodeDrains)
	}
	return ""
}

// claim returns the NodeClaim of a node.
func (f *fixture) claim(node string) string {
	f.Helper()
	return f.kubectl("get", "nodeclaims", "--output=jsonpath={.items[?(@.status.nodeName==\""+node+"\")].metadata.name}")
}

func (f *fixture) kubectl(args ...string) string {
	f.Helper()
	output, err := f.Cluster.Kubectl(f.Context(), args...)
	require.NoError(f, err)
	return output
}

// drained waits until the agent has drained exactly these indexes.
func (f *fixture) drained(agent *user.Agent, indexes ...string) {
	f.Helper()
	f.Eventually("the drains of the agent", func(context.Context) (string, error) {
		got := agent.Nodes()
		for i, text := range got {
			if i >= len(indexes) || !strings.HasPrefix(text, indexes[i]+": ") {
				return fmt.Sprintf("%q", got), nil
			}
		}
		if len(got) != len(indexes) {
			return fmt.Sprintf("%q", got), nil
		}
		return "", nil
	})
}

// nodeEvent waits for an event of Karpenter about a node.
func (f *fixture) nodeEvent(node string, parts ...string) {
	f.Helper()
	f.Eventually("an event of Karpenter", func(ctx context.Context) (string, error) {
		list, err := f.Kube.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Node,involvedObject.name=" + node})
		if err != nil {
			return "", err
		}
		var others []string
		for _, e := range list.Items {
			text := e.Reason + ": " + e.Message
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
				return "", nil
			}
			others = append(others, text)
		}
		return fmt.Sprintf("%q", others), nil
	})
}
