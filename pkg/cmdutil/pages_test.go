package cmdutil

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// TestPagedInformer lists 1,200 pods in three pages and then follows a watch.
func TestPagedInformer(t *testing.T) {
	events := watch.NewFake()
	var requests []string
	transformed := map[int]int{}
	pages := Pages{
		Client: fake.NewClientset(), // which does not stream lists
		List: func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
			first, _ := strconv.Atoi(o.Continue)
			requests = append(requests, fmt.Sprintf("%s %q %d after %d transformed", o.FieldSelector, o.ResourceVersion, o.Limit, len(transformed)))
			list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
			for i := first; i < min(1200, first+int(o.Limit)); i++ {
				list.Items = append(list.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}})
			}
			if next := first + int(o.Limit); next < 1200 {
				list.Continue = fmt.Sprint(next)
			}
			return list, nil
		},
		Watch: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
			assert.Equal(t, "a=b", o.FieldSelector)
			assert.Equal(t, "7", o.ResourceVersion)
			return events, nil
		},
		Options: func(o *metav1.ListOptions) { o.FieldSelector = "a=b" },
		Transform: func(obj any) (any, error) {
			pod, ok := obj.(*corev1.Pod)
			if !ok {
				return obj, nil
			}
			n, _ := strconv.Atoi(pod.Name)
			transformed[n]++
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Labels: map[string]string{"seen": "true"}}}, nil
		},
	}
	informer, err := NewPagedInformer(pages, &corev1.Pod{}, cache.Indexers{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); informer.RunWithContext(ctx) }()
	defer func() { cancel(); <-stopped }()
	require.Eventually(t, informer.HasSynced, time.Minute, time.Millisecond)
	assert.Len(t, informer.GetStore().ListKeys(), 1200)
	assert.Equal(t, []string{
		`a=b "" 500 after 0 transformed`, `a=b "" 500 after 500 transformed`, `a=b "" 500 after 1000 transformed`,
	}, requests, "a page is transformed before the next one is requested")
	events.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "5000", ResourceVersion: "8"}})
	require.Eventually(t, func() bool {
		obj, exists, _ := informer.GetStore().GetByKey("5000")
		pod, ok := obj.(*corev1.Pod)
		return exists && ok && pod.Labels["seen"] == "true"
	}, time.Minute, time.Millisecond)
}
