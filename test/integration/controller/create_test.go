package controller_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mc := f.createReady("flux-sample", 4, maxSize(6))

	assert.Equal(t, "hpa-selector=flux-sample", mc.Status.Selector)
	assert.Equal(t, int32(6), mc.Status.MaximumSize)
	for kind, want := range map[string]metav1.ConditionStatus{
		v1alpha2.ConditionAccepted: metav1.ConditionTrue, v1alpha2.ConditionProgressing: metav1.ConditionFalse,
		v1alpha2.ConditionScalingLimited: metav1.ConditionFalse, v1alpha2.ConditionSuspended: metav1.ConditionFalse,
	} {
		for _, c := range mc.Status.Conditions {
			if c.Type == kind {
				assert.Equal(t, want, c.Status, "%s: %s", kind, c.Message)
			}
		}
	}

	job := f.job("flux-sample")
	assert.Equal(t, string(job.UID), mc.Status.JobID)
	assert.True(t, metav1.IsControlledBy(job, mc))

	secret, err := f.kube.CoreV1().Secrets(f.namespace).Get(t.Context(), "flux-sample-curve-"+string(mc.UID)[:8], metav1.GetOptions{})
	require.NoError(t, err)
	assert.True(t, metav1.IsControlledBy(secret, mc))
	assert.True(t, *secret.Immutable)
	_, err = fluxconfig.ParseCertificate(secret.Data["curve.cert"], "rank")
	require.NoError(t, err)

	conf, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(t.Context(), "flux-sample-config", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, conf.Data["broker.toml"], "flux-sample-[0-5]")
	assert.Equal(t, "4", conf.Data["quorum"])

	service, err := f.kube.CoreV1().Services(f.namespace).Get(t.Context(), "flux-sample", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, corev1.ClusterIPNone, service.Spec.ClusterIP)
	assert.True(t, service.Spec.PublishNotReadyAddresses)

	pods, err := f.kube.CoreV1().Pods(f.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: mc.Status.Selector})
	require.NoError(t, err)
	require.Len(t, pods.Items, 4)
	for _, pod := range pods.Items {
		assert.Regexp(t, `^flux-sample-[0-3]$`, pod.Spec.Hostname)
		assert.Equal(t, "flux-sample", pod.Spec.Subdomain)
		assert.Equal(t, "flux-sample", pod.Labels["job-name"])
	}
	f.waitForEvent("flux-sample", "Created", "size 4", "maximum 6")
}

// When a MiniCluster is deleted, all of its objects are deleted, and another one of the same name starts with a new
// certificate.
func TestDeleteAndCreateAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.createReady("again", 2)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "again", metav1.DeleteOptions{}))
	second := f.createReady("again", 3)
	assert.NotEqual(t, first.UID, second.UID)
	assert.True(t, metav1.IsControlledBy(f.job("again"), second))

	f.eventually("the first certificate", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().Secrets(f.namespace).Get(ctx, "again-curve-"+string(first.UID)[:8], metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "still there", nil
		}
		return "", nil
	})
	require.NoError(t, f.miniclusters().Delete(t.Context(), "again", metav1.DeleteOptions{}))
	f.eventually("everything to be gone", func(ctx context.Context) (string, error) {
		jobs, err := f.kube.BatchV1().Jobs(f.namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(jobs.Items) > 0 {
			return "a Job is left", err
		}
		secrets, err := f.kube.CoreV1().Secrets(f.namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(secrets.Items) > 0 {
			return "a Secret is left", err
		}
		services, err := f.kube.CoreV1().Services(f.namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(services.Items) > 0 {
			return "a Service is left", err
		}
		pods, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 {
			return "a pod is left", err
		}
		return "", nil
	})
}

// Two MiniClusters of a namespace share a headless Service; it exists until both are deleted.
func TestSharedHeadlessService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.createReady("one", 2, headless("shared"))
	f.createReady("two", 2, headless("shared"))

	endpoints := func(ctx context.Context) (map[string]bool, error) {
		slices, err := f.kube.DiscoveryV1().EndpointSlices(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=shared"})
		if err != nil {
			return nil, err
		}
		hosts := map[string]bool{}
		for _, slice := range slices.Items {
			for _, e := range slice.Endpoints {
				if e.Hostname != nil {
					hosts[*e.Hostname] = true
				}
			}
		}
		return hosts, nil
	}
	resolves := func(names ...string) {
		t.Helper()
		f.eventually("host names", func(ctx context.Context) (string, error) {
			hosts, err := endpoints(ctx)
			if err != nil {
				return "", err
			}
			for _, name := range names {
				if !hosts[name] {
					return name + " does not resolve", nil
				}
			}
			return "", nil
		})
	}
	resolves("one-0", "one-1", "two-0", "two-1")

	require.NoError(t, f.miniclusters().Delete(t.Context(), "one", metav1.DeleteOptions{}))
	f.eventually("the first owner to be dropped", func(ctx context.Context) (string, error) {
		service, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, "shared", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, ref := range service.OwnerReferences {
			if ref.UID == one.UID {
				return "one is still an owner", nil
			}
		}
		return "", nil
	})
	resolves("two-0", "two-1")

	require.NoError(t, f.miniclusters().Delete(t.Context(), "two", metav1.DeleteOptions{}))
	f.eventually("the Service to go with its last owner", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, "shared", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is still there", err
	})
}

func TestInvalidSpecIsReportedAndCanBeCorrected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("wrong", 2, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux = &v1alpha2.FluxSpec{ConnectTimeout: "soon"}
	})
	f.waitFor("wrong", has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "spec.flux.connectTimeout", "soon"))
	f.waitForEvent("wrong", v1alpha2.ReasonInvalid, "spec.flux.connectTimeout")
	_, err := f.kube.BatchV1().Jobs(f.namespace).Get(t.Context(), "wrong", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "an invalid spec has no objects")

	f.patch("wrong", map[string]any{"spec": map[string]any{"flux": map[string]any{"connectTimeout": "10s"}}})
	f.waitFor("wrong", f.ready(2), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))
}

func TestLateEditIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("edited", 2)
	before := f.job("edited")
	f.patch("edited", map[string]any{"spec": map[string]any{"maxSize": 9, "pod": map[string]any{"schedulerName": "other"}}})
	f.waitFor("edited", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonImmutableFields, "spec.maxSize", "spec.pod.schedulerName"))
	f.waitForEvent("edited", v1alpha2.ReasonImmutableFields, "spec.maxSize")
	f.setSize("edited", 9)
	f.waitFor("edited", specSize(2), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum))
	assert.Equal(t, before.Spec, f.job("edited").Spec)
}

// A merge patch through v1alpha1 writes that version's default of installRoot. The layout does not change, and the
// default does not count as an edit.
func TestPatchThroughV1alpha1KeepsTheLayout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("view", 2, maxSize(4))
	_, err := f.cluster.Kubectl(t.Context(), "-n", f.namespace, "patch", "miniclusters.v1alpha1.flux-framework.org", "view", "--type=merge", "-p", `{"spec":{"size":3}}`)
	require.NoError(t, err)
	mc := f.waitFor("view", f.ready(3), has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid))
	assert.Equal(t, "/usr", mc.Spec.Flux.InstallRoot, "the premise of this test")
	job := f.job("view")
	assert.Equal(t, "view", job.Annotations[v1alpha2.AnnotationLayout])
	assert.Equal(t, "view", job.Spec.Template.Spec.Subdomain)
}
