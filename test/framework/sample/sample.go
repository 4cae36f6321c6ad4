// Package sample has the MiniClusters and Jobs that unit tests start from. They are the smallest valid ones; a test
// adds the fields that it tests.
package sample

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

// Zeroes is a source of randomness for tests.
type Zeroes struct{}

func (Zeroes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// GoldenYAML compares an object, as YAML, with a golden file.
func GoldenYAML(t *testing.T, name string, object any) {
	t.Helper()
	text, err := yaml.Marshal(object)
	require.NoError(t, err)
	golden.Check(t, name, text)
}

// MiniCluster returns the MiniCluster of the scaling tutorial, changed by mods, with defaults set.
func MiniCluster(mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
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

// WithSize sets spec.size.
func WithSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = &n }
}

// WithMaxSize sets spec.maxSize.
func WithMaxSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = n }
}

// WithMinSize sets spec.minSize.
func WithMinSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = n }
}

// WithInstallRoot selects the system layout, as documents of v1alpha1 do.
func WithInstallRoot(mc *v1alpha2.MiniCluster) {
	mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
}

// RunningJob sets the numbers of active and of ready pods of a Job.
func RunningJob(active, ready int32) func(*batchv1.Job) {
	return func(job *batchv1.Job) { job.Status.Active, job.Status.Ready = active, &ready }
}

// EndedJob ends a Job with a condition.
func EndedJob(kind batchv1.JobConditionType, reason, message string) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		})
	}
}
