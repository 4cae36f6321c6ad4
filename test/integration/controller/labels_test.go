package controller_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// labelAll patches the labels of the Job, the ConfigMap and the Service of a MiniCluster.
func (f *fixture) labelAll(name, labels string) {
	f.Helper()
	patch := []byte(`{"metadata":{"labels":` + labels + `}}`)
	_, err := f.kube.BatchV1().Jobs(f.namespace).Patch(f.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(f, err)
	_, err = f.kube.CoreV1().ConfigMaps(f.namespace).Patch(f.Context(), name+"-config", types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(f, err)
	_, err = f.kube.CoreV1().Services(f.namespace).Patch(f.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(f, err)
}

// labelsOf returns the values of a label of the Job, the ConfigMap and the Service.
func (f *fixture) labelsOf(ctx context.Context, name, label string) ([]string, error) {
	job, err := f.kube.BatchV1().Jobs(f.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	config, err := f.kube.CoreV1().ConfigMaps(f.namespace).Get(ctx, name+"-config", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	service, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return []string{job.Labels[label], config.Labels[label], service.Labels[label]}, nil
}

// TestPolicyOwnsManagedBy: a policy or a tool may own the label that Kubernetes recommends. The controller neither
// needs nor restores it.
func TestPolicyOwnsManagedBy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("work", 2, maxSize(4), headless("work"))
	f.labelAll("work", `{"`+v1alpha2.LabelManagedBy+`":"platform-team"}`)
	f.setSize("work", 3)
	f.waitFor("work", f.ready(3))
	values, err := f.labelsOf(t.Context(), "work", v1alpha2.LabelManagedBy)
	require.NoError(t, err)
	assert.Equal(t, []string{"platform-team", "platform-team", "platform-team"}, values)
}

// TestLabelIsTakenAway: what removes the label of the controller wins. The controller reports that, and still works.
func TestLabelIsTakenAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("work", 2, maxSize(4), headless("work"))
	restored := func(ctx context.Context) (string, error) {
		values, err := f.labelsOf(ctx, "work", v1alpha2.LabelController)
		for _, value := range values {
			if value != v1alpha2.ManagedBy {
				return "an object has no label", err
			}
		}
		return "", err
	}
	f.labelAll("work", `{"`+v1alpha2.LabelController+`":null}`)
	f.eventually("the labels, restored once", restored)
	f.labelAll("work", `{"`+v1alpha2.LabelController+`":null}`)
	f.waitFor("work", has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonLabelRemoved,
		v1alpha2.LabelController, `Job "work"`, `ConfigMap "work-config"`, `Service "work"`))
	f.waitForEvent("work", v1alpha2.ReasonLabelRemoved, v1alpha2.LabelController)
	f.setSize("work", 3)
	f.waitFor("work", f.ready(3))
	values, err := f.labelsOf(t.Context(), "work", v1alpha2.LabelController)
	require.NoError(t, err)
	assert.Equal(t, []string{"", "", ""}, values, "nothing fights for them")
}

// TestObjectsOfAnEarlierRelease: they have only the label that Kubernetes recommends. The first sync adds the other.
func TestObjectsOfAnEarlierRelease(t *testing.T) {
	// Not parallel: it stops the controller.
	f := newFixture(t)
	f.createReady("work", 2, maxSize(4), headless("work"))
	running.halt(t)
	f.labelAll("work", `{"`+v1alpha2.LabelController+`":null,"`+v1alpha2.LabelManagedBy+`":"`+v1alpha2.ManagedBy+`"}`)
	log, err := f.cluster.Audit()
	require.NoError(t, err)
	running.start(t)
	f.eventually("the labels", func(ctx context.Context) (string, error) {
		values, err := f.labelsOf(ctx, "work", v1alpha2.LabelController)
		if err != nil || values[0] == "" || values[1] == "" || values[2] == "" {
			return "an object has no label", err
		}
		return "", nil
	})
	f.setSize("work", 4)
	f.waitFor("work", f.ready(4))
	requests, err := log.Requests(user.Controller)
	require.NoError(t, err)
	patches := map[string]int{}
	for _, r := range requests {
		if r.Verb == "patch" && r.Namespace == f.namespace {
			patches[r.Resource]++
		}
	}
	assert.Equal(t, map[string]int{"jobs": 2, "configmaps": 1, "services": 1}, patches, "one each, and one for the size")
}
