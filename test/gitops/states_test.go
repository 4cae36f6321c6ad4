package gitops

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
	"minicluster.internal/operator/test/framework/sample"
)

// state is a state of a MiniCluster, and what tools should see.
type state struct {
	name string
	mc   *unstructured.Unstructured
	// kstatus is the status that the library computes; argo is the health.
	kstatus, argo string
}

// states are those of one MiniCluster.
func states(t *testing.T) []state {
	t.Helper()
	running := func(ready int32) func(*status.Input) {
		return func(in *status.Input) { sample.RunningJob(4, ready)(in.Job) }
	}
	invalid := func(kind status.OutcomeKind, retried bool) func(*status.Input) {
		return func(in *status.Input) {
			in.Job, in.Outcome = nil, status.Outcome{Kind: kind, Reason: v1alpha2.ReasonInvalid, Message: "spec.size", Retried: retried}
		}
	}
	stopped := func(phase status.HibernationPhase, record *resources.HibernationRecord) func(*status.Input) {
		return func(in *status.Input) {
			in.Job, in.Hibernation = nil, &status.Hibernation{Phase: phase, Record: record}
		}
	}
	all := []state{{name: "created a moment ago", mc: created(t), kstatus: "InProgress", argo: "Progressing"}}
	for _, s := range []struct {
		name          string
		prepare       func(*status.Input)
		kstatus, argo string
	}{
		{"no pods yet", func(*status.Input) {}, "InProgress", "Progressing"},
		{"no Job yet", func(in *status.Input) { in.Job = nil }, "InProgress", "Progressing"},
		{"some pods are ready", running(2), "InProgress", "Progressing"},
		{"an image can't be pulled", func(in *status.Input) {
			running(2)(in)
			in.Problem = &status.Problem{Reason: v1alpha2.ReasonImagePullFailed, Message: "x"}
		}, "InProgress", "Progressing"},
		{"a name conflict", invalid(status.NameConflict, false), "InProgress", "Progressing"},
		{"a request fails", invalid(status.Retrying, false), "InProgress", "Progressing"},
		{"waits for something", invalid(status.Waiting, false), "InProgress", "Progressing"},
		{"ready", running(4), "Current", "Healthy"},
		{"ready, and drains", func(in *status.Input) { running(4)(in); in.Draining = "1 job" }, "Current", "Healthy"},
		{"ready, and a size was rejected", func(in *status.Input) { running(4)(in); in.GrowthRejected = true }, "Current", "Healthy"},
		{"ready, and fields were edited too late", func(in *status.Input) { running(4)(in); in.Edited = []string{"spec.pod"} }, "Current", "Healthy"},
		{"suspended", func(in *status.Input) { in.Job.Spec.Suspend = new(true) }, "InProgress", "Suspended"},
		{"hibernates", stopped(status.HibernationStopped, &resources.HibernationRecord{Kept: true}), "Current", "Suspended"},
		{"stopped without a state", stopped(status.HibernationStopped, &resources.HibernationRecord{}), "Current", "Suspended"},
		{"not started", stopped(status.HibernationNotStarted, nil), "Current", "Suspended"},
		{"wakes", stopped(status.HibernationWaking, &resources.HibernationRecord{Kept: true}), "InProgress", "Progressing"},
		{"invalid", invalid(status.Invalid, false), "Failed", "Degraded"},
		{"rejected by a policy", invalid(status.Invalid, true), "Failed", "Degraded"},
		{"an invalid edit", func(in *status.Input) { running(4)(in); in.Invalid = "spec.minSize" }, "Failed", "Degraded"},
		{"the certificate is lost", func(in *status.Input) { running(4)(in); in.CertificateLost = true }, "Failed", "Degraded"},
		{"complete", func(in *status.Input) { sample.EndedJob(batchv1.JobComplete, "x", "y")(in.Job) }, "Current", "Healthy"},
		{"failed", func(in *status.Input) { sample.EndedJob(batchv1.JobFailed, "x", "y")(in.Job) }, "Failed", "Degraded"},
	} {
		in := newInput(t)
		s.prepare(&in)
		in.MiniCluster.Status, _ = status.Compute(in)
		all = append(all, state{s.name, toUnstructured(t, in.MiniCluster), s.kstatus, s.argo})
		newer := in.MiniCluster.DeepCopy()
		newer.Generation++
		all = append(all, state{s.name + ", and the spec has changed", toUnstructured(t, newer), "InProgress", "Progressing"})
	}
	return all
}

func newInput(t *testing.T) status.Input {
	t.Helper()
	mc := sample.MiniCluster()
	mc.Generation, mc.CreationTimestamp = 1, metav1.NewTime(time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC))
	fixed := resources.NewFixed(mc)
	job, err := resources.BuildJob(mc, fixed, resources.Environment{}, 4)
	require.NoError(t, err)
	return status.Input{MiniCluster: mc, Fixed: fixed, Job: job}
}

// created is a MiniCluster without a status, with the default of the API server.
func created(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash("../../manifests/crd/flux-framework.org_miniclusters.yaml"))
	require.NoError(t, err)
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]struct {
							Default any `json:"default"`
						} `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(data, &crd))
	require.Len(t, crd.Spec.Versions, 2)
	in := newInput(t)
	mc := toUnstructured(t, in.MiniCluster)
	unstructured.RemoveNestedField(mc.Object, "status")
	for _, version := range crd.Spec.Versions {
		value := version.Schema.OpenAPIV3Schema.Properties["status"].Default
		require.Equal(t, map[string]any{"observedGeneration": float64(-1)}, value)
		require.NoError(t, unstructured.SetNestedField(mc.Object, int64(-1), "status", "observedGeneration"))
	}
	return mc
}

func toUnstructured(t *testing.T, mc *v1alpha2.MiniCluster) *unstructured.Unstructured {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(mc)
	require.NoError(t, err)
	return &unstructured.Unstructured{Object: object}
}
