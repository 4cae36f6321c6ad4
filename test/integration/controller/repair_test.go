package controller_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestDeletedChildrenAreMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("repair", 3, maxSize(5))

	uid := func(get func(context.Context) (metav1.Object, error)) types.UID {
		o, err := get(t.Context())
		require.NoError(t, err)
		return o.GetUID()
	}
	for what, child := range map[string]struct {
		get    func(context.Context) (metav1.Object, error)
		delete func() error
	}{
		"Service": {
			func(ctx context.Context) (metav1.Object, error) {
				return f.kube.CoreV1().Services(f.namespace).Get(ctx, "repair", metav1.GetOptions{})
			},
			func() error {
				return f.kube.CoreV1().Services(f.namespace).Delete(t.Context(), "repair", metav1.DeleteOptions{})
			},
		},
		"ConfigMap": {
			func(ctx context.Context) (metav1.Object, error) {
				return f.kube.CoreV1().ConfigMaps(f.namespace).Get(ctx, "repair-config", metav1.GetOptions{})
			},
			func() error {
				return f.kube.CoreV1().ConfigMaps(f.namespace).Delete(t.Context(), "repair-config", metav1.DeleteOptions{})
			},
		},
		"Job": {
			func(ctx context.Context) (metav1.Object, error) {
				return f.kube.BatchV1().Jobs(f.namespace).Get(ctx, "repair", metav1.GetOptions{})
			},
			func() error {
				return f.kube.BatchV1().Jobs(f.namespace).Delete(t.Context(), "repair", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
			},
		},
	} {
		before := uid(child.get)
		require.NoError(t, child.delete())
		f.eventually("another "+what, func(ctx context.Context) (string, error) {
			o, err := child.get(ctx)
			if err != nil {
				return "", err
			}
			if o.GetUID() == before {
				return "still the old one", nil
			}
			return "", nil
		})
	}
	f.waitFor("repair", f.ready(3))
	secrets, err := f.kube.CoreV1().Secrets(f.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, secrets.Items, 1, "the certificate stays the same")
	f.setSize("repair", 6)
	f.waitFor("repair", specSize(5), f.ready(5))
}

// A lost certificate of a running cluster is never replaced silently: the controller reports it and rejects growth,
// and deleting the Job restarts the cluster.
func TestLostCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mc := f.createReady("lost", 2, maxSize(4))
	name := "lost-curve-" + string(mc.UID)[:8]
	secrets := f.kube.CoreV1().Secrets(f.namespace)
	before, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, secrets.Delete(t.Context(), name, metav1.DeleteOptions{}))
	f.waitFor("lost", has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonCertificateLost, name, `delete Job "lost"`))
	f.waitForEvent("lost", v1alpha2.ReasonCertificateLost, name)

	f.setSize("lost", 4)
	f.waitFor("lost", has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonCertificateLost, "size 4"))
	assert.Equal(t, int32(2), *f.job("lost").Spec.Parallelism)
	_, err = secrets.Get(t.Context(), name, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
	f.setSize("lost", 1)
	f.waitFor("lost", func(mc *v1alpha2.MiniCluster) string {
		if mc.Status.Size != 1 {
			return "shrinking is still possible"
		}
		return ""
	})

	f.setSize("lost", 4)
	require.NoError(t, f.kube.BatchV1().Jobs(f.namespace).Delete(t.Context(), "lost", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	f.waitFor("lost", f.ready(4))
	after, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, before.Data, after.Data)
}

// Objects of other owners are never changed; the controller waits for their names.
func TestForeignHolders(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind   string
		create func(f *fixture) error
		remove func(f *fixture) error
	}{
		{
			kind: "Job",
			create: func(f *fixture) error {
				_, err := f.kube.BatchV1().Jobs(f.namespace).Create(f.Context(), &batchv1.Job{
					ObjectMeta: metav1.ObjectMeta{Name: "held"},
					Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
						RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "b"}},
					}}},
				}, metav1.CreateOptions{})
				return err
			},
			remove: func(f *fixture) error {
				return f.kube.BatchV1().Jobs(f.namespace).Delete(f.Context(), "held", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
			},
		},
		{
			kind: "ConfigMap",
			create: func(f *fixture) error {
				_, err := f.kube.CoreV1().ConfigMaps(f.namespace).Create(f.Context(), &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Name: "held-config"}, Data: map[string]string{"mine": "yes"},
				}, metav1.CreateOptions{})
				return err
			},
			remove: func(f *fixture) error {
				conf, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(f.Context(), "held-config", metav1.GetOptions{})
				if err != nil {
					return err
				}
				assert.Equal(f, map[string]string{"mine": "yes"}, conf.Data)
				assert.Empty(f, conf.OwnerReferences)
				return f.kube.CoreV1().ConfigMaps(f.namespace).Delete(f.Context(), "held-config", metav1.DeleteOptions{})
			},
		},
		{
			kind: "Service",
			create: func(f *fixture) error {
				_, err := f.kube.CoreV1().Services(f.namespace).Create(f.Context(), &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Name: "held"},
					Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone},
				}, metav1.CreateOptions{})
				return err
			},
			remove: func(f *fixture) error {
				service, err := f.kube.CoreV1().Services(f.namespace).Get(f.Context(), "held", metav1.GetOptions{})
				if err != nil {
					return err
				}
				assert.Empty(f, service.OwnerReferences)
				assert.Empty(f, service.Spec.Selector)
				return f.kube.CoreV1().Services(f.namespace).Delete(f.Context(), "held", metav1.DeleteOptions{})
			},
		},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			require.NoError(t, tc.create(f))
			f.create("held", 2)
			f.waitFor("held", has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNameConflict, tc.kind, "held"))
			f.waitForEvent("held", v1alpha2.ReasonNameConflict, tc.kind)
			require.NoError(t, tc.remove(f))
			f.waitFor("held", f.ready(2))
		})
	}
}

// A Job that another controller created for this MiniCluster keeps its template and is only resized.
func TestTakeOverJob(t *testing.T) {
	f := newFixture(t)
	running.halt(t)
	mc := f.create("taken", 2)
	mc.Status.MaximumSize = 4
	mc, err := f.miniclusters().UpdateStatus(t.Context(), mc, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, err = f.kube.BatchV1().Jobs(f.namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "taken", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(mc, v1alpha2.MiniClusterKind)}},
		Spec: batchv1.JobSpec{
			CompletionMode: new(batchv1.IndexedCompletion), Parallelism: new(int32(2)), Completions: new(int32(2)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"hpa-selector": "taken"}},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyOnFailure, Containers: []corev1.Container{{Name: "taken", Image: "old"}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	running.start(t)

	f.waitFor("taken", f.ready(2))
	f.setSize("taken", 3)
	f.waitFor("taken", f.ready(3))
	f.setSize("taken", 5)
	f.waitFor("taken", specSize(4), f.ready(4))
	assert.Equal(t, "old", f.job("taken").Spec.Template.Spec.Containers[0].Image)
	secrets, err := f.kube.CoreV1().Secrets(f.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, secrets.Items)
}

// The next controller repairs what happened while no controller ran.
func TestRestart(t *testing.T) {
	f := newFixture(t)
	f.createReady("a", 4)
	f.createReady("b", 2, maxSize(4))
	running.halt(t)
	f.setSize("a", 9)
	f.setSize("b", 3)
	f.create("c", 2)
	require.NoError(t, f.kube.CoreV1().Services(f.namespace).Delete(t.Context(), "b", metav1.DeleteOptions{}))
	running.start(t)
	f.waitFor("a", specSize(4), f.ready(4), has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum, "size 9"))
	f.waitFor("b", f.ready(3))
	f.waitFor("c", f.ready(2))
	f.eventually("the Service of b", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, "b", metav1.GetOptions{})
		return "", err
	})
}

// Edits of the Services that pods depend on are reverted and reported.
func TestEditedServices(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("edited", 2, sidecar("nginx", 80))
	for name, edit := range map[string]string{
		"edited": `{"spec":{"selector":{"x":"y"},"publishNotReadyAddresses":false}}`,
		"nginx":  `{"spec":{"selector":{"x":"y"},"ports":[{"name":"tcp-81","port":81}]}}`,
	} {
		before := f.service(name).Spec
		_, err := f.kube.CoreV1().Services(f.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(edit), metav1.PatchOptions{})
		require.NoError(t, err)
		f.eventually("Service "+name+" as it was", func(context.Context) (string, error) {
			if now := f.service(name).Spec; !assert.ObjectsAreEqual(before, now) {
				return fmt.Sprint(now), nil
			}
			return "", nil
		})
		f.waitForEvent("edited", "EditReverted", name, "spec.selector")
	}
}
