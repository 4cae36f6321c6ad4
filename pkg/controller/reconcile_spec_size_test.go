package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWithoutSize(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	status := entry(fieldManager, update, `{"f:status":{}}`)
	status.Subresource = "status"
	for name, tc := range map[string]struct{ managers, want []metav1.ManagedFieldsEntry }{
		"others": {
			[]metav1.ManagedFieldsEntry{entry("kubectl", apply, `{"f:spec":{"f:size":{}}}`), entry("kubectl", update, `{"f:spec":{"f:size":{}}}`), status},
			[]metav1.ManagedFieldsEntry{entry("kubectl", apply, `{"f:spec":{"f:size":{}}}`), entry("kubectl", update, `{"f:spec":{"f:size":{}}}`), status},
		},
		"size alone": {
			[]metav1.ManagedFieldsEntry{entry("kubectl", apply, `{}`), entry(fieldManager, update, `{"f:spec":{"f:size":{}}}`)},
			[]metav1.ManagedFieldsEntry{entry("kubectl", apply, `{}`)},
		},
		"size and other fields": {
			[]metav1.ManagedFieldsEntry{entry(fieldManager, update, `{"f:metadata":{"f:annotations":{}},"f:spec":{"f:size":{}}}`)},
			[]metav1.ManagedFieldsEntry{entry(fieldManager, update, `{"f:metadata":{"f:annotations":{}}}`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withoutSize(tc.managers)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := withoutSize([]metav1.ManagedFieldsEntry{entry(fieldManager, update, `{`)})
	assert.Error(t, err)
}
