package controller

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

func TestTrimConfigMap(t *testing.T) {
	t.Parallel()
	owner := func(apiVersion, kind string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "a", UID: "1"}}
	}
	large := strings.Repeat("x", maxForeignData+1)
	for _, tc := range []struct {
		name   string
		owners []metav1.OwnerReference
		data   string
		kept   bool
	}{
		{"of a MiniCluster", owner("flux-framework.org/v1alpha1", "MiniCluster"), large, true},
		{"of another API's MiniCluster", owner("example.org/v1", "MiniCluster"), "text", false},
		{"of something else", owner("apps/v1", "Deployment"), "text", false},
		{"without owner, small", nil, "text", true},
		{"without owner, large", nil, large, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := trim(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{
					Name: "c", UID: "2", ResourceVersion: "3", OwnerReferences: tc.owners,
					ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
					Annotations: map[string]string{
						corev1.LastAppliedConfigAnnotation: "{}", "example.org/large": large, "example.org/small": "a",
						v1alpha2.AnnotationSpecHash: large,
					},
				},
				Data: map[string]string{"k": tc.data},
			})
			require.NoError(t, err)
			want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Name: "c", UID: "2", ResourceVersion: "3", OwnerReferences: tc.owners,
				Annotations: map[string]string{"example.org/small": "a", v1alpha2.AnnotationSpecHash: large},
			}}
			if tc.kept {
				want.Data = map[string]string{"k": tc.data}
			}
			assert.Equal(t, want, got)
		})
	}
}

// What the controller reads of a Job is the same of the trimmed one.
func TestTrimJob(t *testing.T) {
	t.Parallel()
	mc := newMiniCluster("a", 8)
	mc.UID = "1"
	withBeside(mc)
	v1alpha2.SetDefaults(mc)
	fixed := resources.ResolveFixed(mc, nil, nil)
	whole, err := resources.BuildJob(mc, fixed, resources.Environment{ClusterDomain: "cluster.local"}, 2)
	require.NoError(t, err)
	whole.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Failed: make([]types.UID, 500)}
	trimmed := whole.DeepCopy()
	for range 2 { // a watch may trim an object again
		_, err = trim(trimmed)
		require.NoError(t, err)
	}
	require.NotEmpty(t, resources.SidecarsOf(mc, whole))
	assert.Equal(t, resources.SidecarsOf(mc, whole), resources.SidecarsOf(mc, trimmed))
	require.NotZero(t, resources.ControlPort(whole))
	assert.Equal(t, resources.ControlPort(whole), resources.ControlPort(trimmed))
	require.True(t, resources.MountsSecret(whole, resources.SecretName(mc)))
	assert.True(t, resources.MountsSecret(trimmed, resources.SecretName(mc)))
	assert.Equal(t, resources.ForeignJobLayout(whole), resources.ForeignJobLayout(trimmed))
	assert.Equal(t, resources.ResolveFixed(mc, whole, nil), resources.ResolveFixed(mc, trimmed, nil))
	require.NotNil(t, whole.Spec.PodFailurePolicy)
	assert.Nil(t, trimmed.Spec.PodFailurePolicy)
	require.NotNil(t, whole.Spec.SuccessPolicy)
	assert.Equal(t, &batchv1.SuccessPolicy{}, trimmed.Spec.SuccessPolicy, "whether there is one is kept")
	assert.Len(t, trimmed.Status.UncountedTerminatedPods.Failed, 1)
	assert.Less(t, trimmed.Spec.Template.Size(), whole.Spec.Template.Size()/3)
}

func TestTrimOthers(t *testing.T) {
	t.Parallel()
	unknown := cache.DeletedFinalStateUnknown{Key: "a"}
	got, err := trim(unknown)
	require.NoError(t, err)
	assert.Equal(t, unknown, got)

	got, err = trim(&corev1.Pod{
		Spec:   corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "m", ContainerStatuses: make([]corev1.ContainerStatus, 1)},
	})
	require.NoError(t, err)
	assert.Equal(t, &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "m"}}, got)

	now := metav1.Now()
	got, err = trim(&corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "1", ResourceVersion: "2", DeletionTimestamp: &now, Labels: map[string]string{"a": "b"}},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}},
	})
	require.NoError(t, err)
	assert.Equal(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "1", ResourceVersion: "2", DeletionTimestamp: &now}}, got)
}

// configMapPages is an API server with ConfigMaps of a size.
type configMapPages struct {
	number, size int
	limits       []int64
	fail         bool
}

func (p *configMapPages) List(_ context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error) {
	if p.fail && options.Continue != "" {
		return nil, errors.New("expired")
	}
	p.limits = append(p.limits, options.Limit)
	first := 0
	_, _ = fmt.Sscan(options.Continue, &first)
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for i := first; i < min(p.number, first+int(options.Limit)); i++ {
		list.Items = append(list.Items, corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i), Labels: map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy}},
			Data:       map[string]string{"k": strings.Repeat("x", p.size)},
		})
	}
	if next := first + len(list.Items); next < p.number {
		list.Continue = fmt.Sprint(next)
	}
	return list, nil
}

func (p *configMapPages) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return watch.NewFake(), nil
}

func TestListTrimmed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name         string
		number, size int
		limits       []int64
	}{
		{"small objects", 150, 100, []int64{4, 16, 64, 64, 64}},
		{"large objects", 6, 1 << 20, []int64{4, 1, 1}},
		{"none", 0, 0, []int64{4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := &configMapPages{number: tc.number, size: tc.size}
			list, err := listTrimmed(t.Context(), server, "", trim)
			require.NoError(t, err)
			items, err := meta.ExtractList(list)
			require.NoError(t, err)
			assert.Len(t, items, tc.number)
			for i, item := range items {
				assert.Equal(t, fmt.Sprint(i), item.(*corev1.ConfigMap).Name)
			}
			assert.Equal(t, "7", list.(*metav1.List).ResourceVersion)
			assert.Empty(t, list.(*metav1.List).Continue)
			assert.Equal(t, tc.limits, server.limits)
		})
	}
	_, err := listTrimmed(t.Context(), &configMapPages{number: 9, fail: true}, "", trim)
	require.ErrorContains(t, err, "expired")
}

// Large objects with the label of this controller cost their metadata. The test measures
// memory, so that no other one may run beside it.
func TestForeignObjectsCostLittle(t *testing.T) {
	const number, size = 250, 1 << 20
	inUse := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := inUse()
	list, err := listTrimmed(t.Context(), &configMapPages{number: number, size: size}, "", trim)
	require.NoError(t, err)
	after := inUse()
	runtime.KeepAlive(list)
	assert.Less(t, int64(after-before), int64(number*size/100), "of %d MiB", number*size>>20)
}
