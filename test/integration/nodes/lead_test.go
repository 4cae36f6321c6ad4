package nodes_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/sample"
	"minicluster.internal/operator/test/framework/user"
)

const capacityType = "karpenter.sh/capacity-type"

// kindsOfNodes makes half of the nodes spot nodes, and the others nodes on demand, which take only pods that tolerate
// their taint. It returns the kinds by name.
func kindsOfNodes(t *testing.T) map[string]string {
	t.Helper()
	kube := suite.Cluster(t)
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
		if i%2 > 0 {
			_, err := kube.Kubectl(t.Context(), "taint", "--overwrite", "node", name, "example.com/lead=only:NoSchedule")
			require.NoError(t, err)
		}
	}
	t.Cleanup(func() {
		for name := range kinds {
			label(name, "-")
		}
	})
	return kinds
}

// onDemand places the lead on nodes on demand, and the other pods on spot nodes.
func onDemand(mc *v1alpha2.MiniCluster) {
	mc.Spec.Interactive = true
	mc.Spec.Pod = &v1alpha2.PodSpec{NodeSelector: map[string]string{capacityType: "spot"}}
	mc.Spec.Lead = &v1alpha2.Lead{
		NodeSelector: map[string]string{capacityType: "on-demand", corev1.LabelOSStable: "linux"},
		Tolerations: []corev1.Toleration{
			{Key: "example.com/lead", Value: "only", Effect: corev1.TaintEffectNoSchedule},
			{Key: "example.com/slow", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(30))},
		},
	}
}

// A MiniCluster with spec.lead waits for the admission policy. Then its lead is on another kind of node than the other
// pods, and stays when all of their nodes are interrupted. A lead that is created without the policy is reported.
func TestLeadOnItsOwnKindOfNode(t *testing.T) {
	kube, kinds := suite.Cluster(t), kindsOfNodes(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	policy := filepath.Join(root, "manifests", "lead-placement", "policy.yaml")
	f := &fixture{Fixture: user.NewFixture(t, kube), name: "spot", agent: agents.Of("spot")}
	t.Cleanup(f.restoreNodes)

	f.Create(f.name, 3, onDemand)
	f.WaitFor(f.name, user.HasReason(v1alpha2.ConditionAccepted, v1alpha2.ReasonNoLeadPolicy, "manifests/lead-placement"))
	jobs, err := f.Kube.BatchV1().Jobs(f.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, jobs.Items)

	_, err = kube.Kubectl(t.Context(), "apply", "--filename="+policy)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := kube.Kubectl(context.Background(), "delete", "--ignore-not-found", "--filename="+policy)
		assert.NoError(t, err)
	})
	f.WaitFor(f.name, user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	f.WaitFor(f.name, user.HasReason(v1alpha2.ConditionAccepted, v1alpha2.ReasonValid))
	var got []string
	for index := range int32(3) {
		got = append(got, kinds[f.pod(index).Spec.NodeName])
	}
	assert.Equal(t, []string{"on-demand", "spot", "spot"}, got)
	lead := f.pod(0)
	f.policyPlaces(lead)
	for name, kind := range kinds {
		if kind == "spot" {
			f.patchNode(name, interrupted)
		}
	}
	f.WaitForEvent(f.name, "PodEvicted", "spot-itn")
	assert.Equal(t, lead.UID, f.pod(0).UID)
	assert.Empty(t, f.pod(0).Labels[v1alpha2.LabelRankState])

	_, err = kube.Kubectl(t.Context(), "delete", "--filename="+policy)
	require.NoError(t, err)
	f.policyIsGone(lead)
	require.NoError(t, f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), lead.Name, metav1.DeleteOptions{}))
	f.WaitFor(f.name, user.HasReason(v1alpha2.ConditionAccepted, v1alpha2.ReasonFieldsWithoutEffect, "spec.lead", "was created without"))
}

// policyPlaces checks the policy with pods that have neither a selector nor tolerations of their own, and with all
// forms of tolerations.
func (f *fixture) policyPlaces(lead *corev1.Pod) {
	f.Helper()
	long := v1alpha2.Lead{NodeSelector: map[string]string{}}
	for i := range 100 {
		long.NodeSelector[fmt.Sprintf("example.com/label-%d", i)] = strconv.Itoa(i)
		long.Tolerations = append(long.Tolerations, corev1.Toleration{Key: "example.com/taint", Value: strconv.Itoa(i)})
	}
	for name, placement := range map[string]v1alpha2.Lead{
		"a selector":  {NodeSelector: map[string]string{"example.com/kind": "on-demand", "without-value": ""}},
		"many":        long,
		"all taints":  {Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}},
		"no operator": {Tolerations: []corev1.Toleration{{Key: "a"}}},
		"seconds": {Tolerations: []corev1.Toleration{
			{Key: "a", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(-1))},
			{Key: "b", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0))},
		}},
	} {
		mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.Lead = &placement })
		job, err := resources.BuildJob(mc, resources.NewFixed(mc), resources.Environment{}, 2)
		require.NoError(f, err)
		probe := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: lead.Labels, Annotations: job.Spec.Template.Annotations},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
		}
		require.False(f, resources.LeadPlaced(probe), name)
		pod, err := f.Kube.CoreV1().Pods(f.Namespace).Create(f.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if assert.NoError(f, err, name) {
			assert.True(f, resources.LeadPlaced(pod), "%s: %v %v", name, pod.Spec.NodeSelector, pod.Spec.Tolerations)
		}
	}
}

// policyIsGone waits until the API server no longer places pods like a lead.
func (f *fixture) policyIsGone(lead *corev1.Pod) {
	f.Helper()
	f.Eventually("the policy to be gone", func(ctx context.Context) (string, error) {
		pod, err := f.Kube.CoreV1().Pods(f.Namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: lead.Labels, Annotations: lead.Annotations},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil || len(pod.Spec.NodeSelector) > 0 {
			return "it applies", err
		}
		return "", nil
	})
}
