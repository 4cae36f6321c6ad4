package controller

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/golden"
)

func goldenYAML(t *testing.T, name string, object any) {
	t.Helper()
	text, err := yaml.Marshal(object)
	require.NoError(t, err)
	golden.Check(t, name, text)
}

// testSite is a cluster of the newest Kubernetes.
var testSite = Site{ClusterDomain: "cluster.local", Agent: AgentImage{Image: "minicluster:test"}}

// makeMiniCluster makes the MiniCluster of the scaling tutorial, changed by mods,
// with defaults set.
func makeMiniCluster(mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{
			Name: "flux-sample", Namespace: "flux-operator", UID: "3f6c1a52-8a3e-4d31-9c35-6f1e4ab3a001",
			ResourceVersion: "10", Generation: 1,
		},
		Spec: v1alpha2.MiniClusterSpec{
			Size:        new(int32(4)),
			Interactive: true,
			Containers:  []v1alpha2.MiniClusterContainer{{Image: "ghcr.io/flux-framework/flux-restful-api:latest"}},
		},
	}
	for _, mod := range mods {
		mod(mc)
	}
	v1alpha2.SetDefaults(mc)
	return mc
}

func withSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = &n }
}

func withMaxSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = n }
}

func withMinSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = n }
}

func withInstallRoot(mc *v1alpha2.MiniCluster) {
	mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
}

// makeState makes what a sync knows of a MiniCluster whose Job exists.
func makeState(t *testing.T, mc *v1alpha2.MiniCluster, size int32) *syncState {
	t.Helper()
	s := &syncState{mc: mc, facts: decide(mc, nil, nil, testSite)}
	job, err := BuildJob(mc, s.facts, size)
	require.NoError(t, err)
	job.UID = "job-uid"
	s.job = job
	return s
}

func runningJob(active, ready int32) func(*batchv1.Job) {
	return func(job *batchv1.Job) { job.Status.Active, job.Status.Ready = active, &ready }
}

func endedJob(kind batchv1.JobConditionType, reason, message string) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		})
	}
}
