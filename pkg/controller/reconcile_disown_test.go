package controller

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// TestDisown checks which managed fields a write of the controller leaves, even if other clients write in between.
func TestDisown(t *testing.T) {
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, subresource string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource}
	}
	own := entry(fieldManager, update, "")
	status, user, same := entry(fieldManager, update, "status"), entry("kubectl", apply, ""), entry(fieldManager, apply, "")
	for name, tc := range map[string]struct {
		managers  []metav1.ManagedFieldsEntry
		conflicts int
		patches   int
		want      []string
		version   string
	}{
		"applied on the server":   {[]metav1.ManagedFieldsEntry{user, own, status}, 0, 1, []string{"kubectl Apply", fieldManager + " Update status"}, "3"},
		"applied on the client":   {[]metav1.ManagedFieldsEntry{entry("kubectl-client-side-apply", update, ""), own}, 0, 1, []string{"kubectl-client-side-apply Update"}, "3"},
		"a user of the same name": {[]metav1.ManagedFieldsEntry{same, own}, 0, 1, []string{fieldManager + " Apply"}, "3"},
		"nothing to give up":      {[]metav1.ManagedFieldsEntry{user, status}, 0, 0, nil, "2"},
		"another client writes":   {[]metav1.ManagedFieldsEntry{user, own}, 2, 3, []string{"kubectl Apply"}, "2"},
		"others write for ever":   {[]metav1.ManagedFieldsEntry{user, own}, 99, maxDisownAttempts, nil, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			mc := newMiniCluster("a", 2)
			mc.ResourceVersion, mc.ManagedFields = "2", tc.managers
			flux := fluxfake.NewSimpleClientset()
			conflicts, patches, left := tc.conflicts, 0, []string(nil)
			flux.PrependReactor("get", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(v1alpha2.Resource("miniclusters"), "a", nil) // as its role says
			})
			flux.PrependReactor("list", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
				latest := mc.DeepCopy()
				latest.ResourceVersion = "9"
				return true, &v1alpha2.MiniClusterList{Items: []v1alpha2.MiniCluster{*latest}}, nil
			})
			flux.PrependReactor("patch", "miniclusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
				patches++
				if conflicts--; conflicts >= 0 {
					return true, nil, apierrors.NewConflict(v1alpha2.Resource("miniclusters"), "a", nil)
				}
				var change v1alpha2.MiniCluster
				require.NoError(t, json.Unmarshal(action.(clienttesting.PatchAction).GetPatch(), &change))
				if tc.conflicts > 0 {
					assert.Equal(t, "9", change.ResourceVersion)
				}
				for _, m := range change.ManagedFields {
					text := m.Manager + " " + string(m.Operation)
					if m.Subresource != "" {
						text += " " + m.Subresource
					}
					left = append(left, text)
				}
				change.ResourceVersion = "3"
				return true, &change, nil
			})
			c := newPlay(t, nil).controller
			c.flux = flux
			got, err := c.disown(t.Context(), &syncState{key: cache.MetaObjectToName(mc), mc: mc}, mc)
			require.NoError(t, err)
			assert.Equal(t, tc.want, left)
			assert.Equal(t, tc.patches, patches)
			assert.Equal(t, tc.version, got.ResourceVersion)
		})
	}
}

// TestDisownDeleted checks that a sync ends if the MiniCluster was deleted, or created again, after its size was
// written.
func TestDisownDeleted(t *testing.T) {
	mc := newMiniCluster("a", 2)
	mc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: fieldManager, Operation: metav1.ManagedFieldsOperationUpdate}}
	again := mc.DeepCopy()
	again.UID = "another"
	for name, items := range map[string][]v1alpha2.MiniCluster{"deleted": nil, "created again": {*again}} {
		t.Run(name, func(t *testing.T) {
			flux := fluxfake.NewSimpleClientset()
			flux.PrependReactor("patch", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewConflict(v1alpha2.Resource("miniclusters"), "a", nil)
			})
			flux.PrependReactor("list", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &v1alpha2.MiniClusterList{Items: items}, nil
			})
			c := newPlay(t, nil).controller
			c.flux = flux
			_, err := c.disown(t.Context(), &syncState{key: cache.MetaObjectToName(mc), mc: mc}, mc)
			assert.Equal(t, stale(miniclusters), err)
		})
	}
}

// TestTrimMiniCluster checks that the cache shows whether the controller owns the size, and no other managers.
func TestTrimMiniCluster(t *testing.T) {
	t.Parallel()
	entry := func(manager, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	size := entry(fieldManager, "", `{"f:spec":{"f:size":{}}}`)
	for name, tc := range map[string]struct {
		managers, want []metav1.ManagedFieldsEntry
	}{
		"the size":          {[]metav1.ManagedFieldsEntry{entry("kubectl", "", `{"f:spec":{}}`), size}, []metav1.ManagedFieldsEntry{size}},
		"of a user":         {[]metav1.ManagedFieldsEntry{entry("kubectl", "", `{"f:spec":{"f:size":{}}}`)}, nil},
		"finalizer, status": {[]metav1.ManagedFieldsEntry{entry(fieldManager, "", `{"f:metadata":{"f:finalizers":{}}}`), entry(fieldManager, "status", `{"f:status":{}}`)}, nil},
		"nothing":           {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mc := newMiniCluster("a", 2)
			mc.ManagedFields = tc.managers
			for range 2 { // a watch may trim an object again
				_, err := trimMiniCluster(mc)
				require.NoError(t, err)
				assert.Equal(t, tc.want, mc.ManagedFields)
			}
			s := &syncState{}
			s.setMiniCluster(mc)
			assert.Equal(t, tc.want != nil, s.ownsSize)
			assert.Nil(t, s.mc.ManagedFields)
		})
	}
}

// TestRejectedDisown checks that a policy that rejects the patch of the managers does not keep a cluster from its spec.
func TestRejectedDisown(t *testing.T) {
	p := newPlay(t, nil)
	mc := newMiniCluster("b", 1)
	mc.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: fieldManager, Operation: metav1.ManagedFieldsOperationUpdate,
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:size":{}}}`),
	}}
	_, err := p.create(miniclusters, mc)
	require.NoError(t, err)
	rejected := 0
	p.flux.PrependReactor("patch", "miniclusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if !bytes.Contains(action.(clienttesting.PatchAction).GetPatch(), []byte("managedFields")) {
			return false, nil, nil
		}
		rejected++
		return true, nil, policyError()
	})
	p.calm()
	p.clock.Step(time.Minute)
	p.calm()
	assert.Positive(t, rejected)
	require.Contains(t, p.objects[jobs], "b")
	assert.Equal(t, v1alpha2.ReasonReady, p.condition("b", v1alpha2.ConditionReady).Reason)
}
