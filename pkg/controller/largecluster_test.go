package controller

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/diagnosis"
)

// podPages returns a client that lists pods of a Job in pages, of which each pod has about 8 KB.
func podPages(t *testing.T, number int, pages *int) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset()
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, apiruntime.Object, error) {
		options := action.(clienttesting.ListActionImpl).ListOptions
		*pages++
		first := 0
		_, _ = fmt.Sscan(options.Continue, &first)
		list := &corev1.PodList{}
		for i := first; i < min(number, first+int(options.Limit)); i++ {
			list.Items = append(list.Items, largePod(i))
		}
		if next := first + len(list.Items); next < number {
			list.Continue = fmt.Sprint(next)
		}
		return true, list, nil
	})
	return client
}

// largePod is a pod that runs and is not ready.
func largePod(index int) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("large-%d-abcde", index), Namespace: testNamespace,
			Labels:          map[string]string{v1alpha2.LabelHPASelector: "large", batchv1.JobNameLabel: "large"},
			Annotations:     map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(index)},
			OwnerReferences: []metav1.OwnerReference{{UID: "job", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "large", Args: []string{strings.Repeat("x", 8000)}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "large", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
}

// The inspection of a cluster of 10,000 pods that are not ready reads 80 MB and keeps a small part of them. The test
// measures memory, so that no other one may run beside it.
func TestLargeClusterIsInspectedInPages(t *testing.T) {
	const number = 10_000
	pages := 0
	c := &Controller{kube: podPages(t, number, &pages), podReads: make(chan struct{}, 1)}
	mc, job := newMiniCluster("large", 0), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{UID: "job"}}
	inUse := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := inUse()
	pods := diagnosis.NewPods("large", number, metav1.Now().Time)
	require.NoError(t, c.eachPodOfJob(t.Context(), mc, job, pods.Add))
	c.kube.(*fake.Clientset).ClearActions()
	kept := inUse() - before
	assert.Equal(t, number/podPage, pages)
	assert.Less(t, kept, int64(10<<20), "bytes that are kept")
	worst := pods.Worst()
	require.NotNil(t, worst)
	assert.Equal(t, v1alpha2.ReasonBrokerOffline, worst.Reason)
	assert.Contains(t, worst.Text, "large-0-abcde")
	assert.Equal(t, number-1, worst.Others)
	assert.NotNil(t, worst.Pod, "that of the lead is kept")
}

// Only one page of pods is read at a time, and no caller waits for it longer than its context.
func TestPodPagesAreReadOneAtATime(t *testing.T) {
	t.Parallel()
	pages := 0
	c := &Controller{kube: podPages(t, 1, &pages), podReads: make(chan struct{}, 1)}
	c.podReads <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.eachPod(ctx, newMiniCluster("large", 0), "", func(*corev1.Pod) {})
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, pages)
	<-c.podReads
	require.NoError(t, c.eachPod(t.Context(), newMiniCluster("large", 0), "", func(*corev1.Pod) {}))
	assert.Equal(t, 1, pages)
}
