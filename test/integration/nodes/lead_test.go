package nodes_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

const capacityType = "karpenter.sh/capacity-type"

// leadPolicy returns the policy of docs/nodes.md.
func leadPolicy(t *testing.T) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "nodes.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "### The lead on another kind of node")
	require.True(t, found)
	_, block, _ := strings.Cut(section, "```yaml\n")
	policy, _, found := strings.Cut(block, "```")
	require.True(t, found)
	return policy
}

// The policy of the documentation moves the lead to another kind of node than the other pods. When all of their nodes
// are interrupted, the lead stays.
func TestLeadOnItsOwnKindOfNode(t *testing.T) {
	kube := suite.Cluster(t)
	policy := leadPolicy(t)
	_, err := kube.KubectlInput(t.Context(), strings.NewReader(policy), "apply", "--filename=-")
	require.NoError(t, err)
	nodes, err := kube.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	kinds := map[string]string{}
	label := func(name, value string) {
		_, err := kube.Kubectl(context.Background(), "label", "--overwrite", "node", name, capacityType+value)
		require.NoError(t, err)
	}
	for i := range nodes.Items {
		name := nodes.Items[i].Name
		kinds[name] = []string{"spot", "on-demand"}[i%2]
		label(name, "="+kinds[name])
	}
	t.Cleanup(func() {
		_, err := kube.KubectlInput(context.Background(), strings.NewReader(policy), "delete", "--filename=-")
		assert.NoError(t, err)
		for name := range kinds {
			label(name, "-")
		}
	})
	f := &fixture{Fixture: user.NewFixture(t, kube)}
	f.Eventually("the policy to apply", func(ctx context.Context) (string, error) {
		pod, err := f.Kube.CoreV1().Pods(f.Namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{
				"example.com/flux-lead": "on-demand", "batch.kubernetes.io/job-completion-index": "0",
			}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil || pod.Spec.NodeSelector[capacityType] != "on-demand" {
			return "it does not yet", err
		}
		return "", nil
	})

	f = newFixture(t, "spot", func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{
			Labels: map[string]string{"example.com/flux-lead": "on-demand"}, NodeSelector: map[string]string{capacityType: "spot"},
		}
	})
	var got []string
	for index := range int32(3) {
		got = append(got, kinds[f.pod(index).Spec.NodeName])
	}
	assert.Equal(t, []string{"on-demand", "spot", "spot"}, got)
	lead := f.pod(0)
	for name, kind := range kinds {
		if kind == "spot" {
			f.patchNode(name, interrupted)
		}
	}
	f.WaitForEvent(f.name, "PodEvicted", "spot-itn")
	assert.Equal(t, lead.UID, f.pod(0).UID)
	assert.Empty(t, f.pod(0).Labels[v1alpha2.LabelRankState])
}
