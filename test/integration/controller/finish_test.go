package controller_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// The work is done when the lead broker's program is done. It never runs again.
func TestComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("done", 3, maxSize(4))
	f.setSize("done", 4)
	f.waitFor("done", f.ready(4))
	require.NoError(t, f.cluster.SucceedPod(t.Context(), f.namespace, f.leadPod("done")))
	f.waitFor("done", has(v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete),
		has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonComplete))
	f.waitForEvent("done", v1alpha2.ReasonComplete)
	f.eventually("followers to go", func(ctx context.Context) (string, error) {
		indexes, err := f.podIndexes(ctx, "done")
		if len(indexes) > 0 {
			return "some are left", err
		}
		return "", err
	})

	f.setSize("done", 2)
	f.waitFor("done", has(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonFinished, "size 2"))
	require.NoError(t, f.kube.BatchV1().Jobs(f.namespace).Delete(t.Context(), "done", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	f.setSize("done", 3)
	f.waitFor("done", observed, has(v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete))
	_, err := f.kube.BatchV1().Jobs(f.namespace).Get(t.Context(), "done", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "a finished MiniCluster does not run again")
}

// A failing application fails the cluster at once, with its exit code.
func TestFailed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("broken", 2)
	require.NoError(t, f.cluster.ExitPod(t.Context(), f.namespace, f.leadPod("broken"), 3))
	f.waitFor("broken", has(v1alpha2.ConditionFailed, metav1.ConditionTrue, v1alpha2.ReasonFailed, "exit code 3"),
		has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonFailed))
	f.waitForEvent("broken", v1alpha2.ReasonFailed, "exit code 3")
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("tidy", 2, func(mc *v1alpha2.MiniCluster) { mc.Spec.Cleanup = true })
	require.NoError(t, f.cluster.SucceedPod(t.Context(), f.namespace, f.leadPod("tidy")))
	f.eventually("everything to be gone", func(ctx context.Context) (string, error) {
		if _, err := f.miniclusters().Get(ctx, "tidy", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "the MiniCluster is left", nil
		}
		if _, err := f.kube.BatchV1().Jobs(f.namespace).Get(ctx, "tidy", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "the Job is left", nil
		}
		return "", nil
	})
	f.waitForEvent("tidy", v1alpha2.ReasonComplete)
}
