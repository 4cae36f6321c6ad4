package controller

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cached objects have equal metadata as before, but share the memory of equal texts.
func TestShareTexts(t *testing.T) {
	t.Parallel()
	decoded := func() metav1.ObjectMeta {
		own := strings.Clone
		return metav1.ObjectMeta{
			Name: "a", Namespace: own("team"), Labels: map[string]string{own("label"): "1"}, Annotations: map[string]string{own("annotation"): "2"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: own("v1"), Kind: own("Kind"), Name: "o", UID: "3"}},
		}
	}
	job, err := trim(&batchv1.Job{ObjectMeta: decoded()})
	require.NoError(t, err)
	pod, err := leadOnly(&corev1.Pod{ObjectMeta: decoded()})
	require.NoError(t, err)
	a, b := job.(*batchv1.Job).ObjectMeta, pod.(*corev1.Pod).ObjectMeta
	assert.Equal(t, decoded(), a)
	same := func(x, y string) {
		t.Helper()
		assert.Same(t, unsafe.StringData(x), unsafe.StringData(y), x)
	}
	same(a.Namespace, b.Namespace)
	same(a.OwnerReferences[0].APIVersion, b.OwnerReferences[0].APIVersion)
	same(a.OwnerReferences[0].Kind, b.OwnerReferences[0].Kind)
	same(onlyKey(a.Labels), onlyKey(b.Labels))

	empty := &batchv1.Job{}
	shareTexts(empty)
	assert.Nil(t, empty.Labels, "none remain none")
}

func onlyKey(values map[string]string) string {
	for key := range values {
		return key
	}
	return ""
}
