package controller_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// refuseJobs creates an admission policy that rejects Jobs in the namespace of a test, with the default answer of
// policies (422), and waits until it works.
func (f *fixture) refuseJobs() (remove func()) {
	f.Helper()
	policies := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	bindings := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err := policies.Create(f.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{"batch"}, APIVersions: []string{"v1"}, Resources: []string{"jobs"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "no Jobs today"}},
		},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
	_, err = bindings.Create(f.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        f.namespace,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": f.namespace},
			}},
		},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
	// The API server needs a moment to load a policy.
	f.eventually("the policy to work", func(ctx context.Context) (string, error) {
		_, err := f.kube.BatchV1().Jobs(f.namespace).Create(ctx, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "probe"},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "b"}},
			}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsInvalid(err) {
			return "", nil
		}
		return "the Job is not rejected", err
	})
	return func() {
		require.NoError(f, bindings.Delete(f.Context(), f.namespace, metav1.DeleteOptions{}))
		require.NoError(f, policies.Delete(f.Context(), f.namespace, metav1.DeleteOptions{}))
	}
}

// A Job that an admission policy rejects is created once the policy permits it, without a change of the MiniCluster.
func TestJobIsRefusedByPolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	allow := f.refuseJobs()
	mc := f.create("refused", 2)
	f.waitFor("refused",
		has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "no Jobs today"),
		has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "retries"))
	allow()
	after := f.waitFor("refused", f.ready(2), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))
	assert.Equal(t, mc.Generation, after.Generation)
}

// No size is granted and no maximum is recorded while the Job is rejected: another maxSize has an effect.
func TestMaximumOfRejectedJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	allow := f.refuseJobs()
	f.create("huge", 5, maxSize(8))
	rejected := f.waitFor("huge",
		has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "no Jobs today"),
		has(v1alpha2.ConditionScalingLimited, metav1.ConditionFalse, v1alpha2.ReasonWithinBounds, "size 5 is within the bounds"))
	assert.Zero(t, rejected.Status.MaximumSize)
	f.patch("huge", map[string]any{"spec": map[string]any{"size": 2, "maxSize": 3}})
	f.waitFor("huge", observed) // otherwise the Job may be created for the size before
	allow()
	corrected := f.waitFor("huge", f.ready(2), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid),
		has(v1alpha2.ConditionScalingLimited, metav1.ConditionFalse, v1alpha2.ReasonWithinBounds, "size 2 was granted"))
	assert.Equal(t, int32(3), corrected.Status.MaximumSize)
	config, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "huge-config", metav1.GetOptions{})
	require.NoError(t, err)
	for name, annotations := range map[string]map[string]string{"ConfigMap": config.Annotations, "Job": f.job("huge").Annotations} {
		assert.Equal(t, "3", annotations[v1alpha2.AnnotationMaximumSize], name)
	}
	f.setSize("huge", 9)
	f.waitFor("huge", specSize(3), f.ready(3))
}

// A ConfigMap that is lost while the Job exists is created again only if its content would be the same.
func TestLostConfigMap(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("noconf", 2, maxSize(4))
	configs := f.kube.CoreV1().ConfigMaps(f.namespace)
	before, err := configs.Get(t.Context(), "noconf-config", metav1.GetOptions{})
	require.NoError(t, err)

	f.patch("noconf", map[string]any{"spec": map[string]any{"flux": map[string]any{"connectTimeout": "9s"}}})
	f.waitFor("noconf", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonImmutableFields, "spec.flux.connectTimeout"))
	require.NoError(t, configs.Delete(t.Context(), before.Name, metav1.DeleteOptions{}))
	f.waitFor("noconf", has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonConfigLost, "restore spec.flux.connectTimeout", `delete Job "noconf"`))
	f.waitForEvent("noconf", v1alpha2.ReasonConfigLost, before.Name)
	_, err = configs.Get(t.Context(), before.Name, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))

	f.patch("noconf", map[string]any{"spec": map[string]any{"flux": map[string]any{"connectTimeout": nil}}})
	f.waitFor("noconf", f.ready(2), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))
	after, err := configs.Get(t.Context(), before.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, before.Data, after.Data)
}
