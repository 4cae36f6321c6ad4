package capacity_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/user"
)

// Pods are created and deleted on all nodes, 50 a second. Afterwards, the numbers are exact.
func TestChurn(t *testing.T) {
	kube := suite.Cluster(t)
	config := kube.Config()
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	namespace := clustertest.Namespace(t, kube)

	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(10)
	for i := range *pods {
		group.Go(func() error { return create(ctx, client, namespace, i, 0) })
	}
	require.NoError(t, group.Wait())

	before := heap()
	source := watch(t, client)
	t.Logf("%d nodes, %d pods: the watches' caches and counts take %d KiB of heap", *nodes, *pods, (heap()-before)/1024)
	rest(t, client, namespace, source)
	program := startProgram(t, kube)
	var idle process.Usage
	if program != nil {
		program.exact(t, source.Cluster(labels.Everything()).Requests)
		idle = program.usage(t)
		t.Logf("the program has %d MiB resident, at most %d MiB until now", idle.RSS>>20, idle.PeakRSS>>20)
	}
	events := countEvents(t, client)

	ticker := time.NewTicker(time.Second / 50)
	defer ticker.Stop()
	started := time.Now()
	churn, ctx := errgroup.WithContext(t.Context())
	for i := range *changes / 2 { // each is two changes
		// A busy machine may skip ticks; the missing changes are made up for.
		for due := started.Add(time.Duration(i) * time.Second / 25); time.Now().Before(due); {
			<-ticker.C
		}
		churn.Go(func() error { return replace(ctx, client, namespace, i%*pods, i / *pods) })
	}
	require.NoError(t, churn.Wait())
	took := time.Since(started)
	t.Logf("%d changes in %s, %.1f a second", *changes, took.Round(time.Millisecond), float64(*changes)/took.Seconds())

	requests := rest(t, client, namespace, source)
	sums := source.Cluster(labels.Everything())
	assert.Equal(t, requests, sums.Requests)
	assert.Equal(t, *nodes, sums.Nodes)
	if program != nil {
		program.exact(t, requests)
		busy, seen := program.usage(t), events.Load()
		cpu := busy.CPU - idle.CPU
		t.Logf("the program received %d events and used %s of CPU, %s for each, including all other work; it has %d MiB resident, at most %d MiB",
			seen, cpu, (cpu / time.Duration(seen)).Round(time.Microsecond), busy.RSS>>20, busy.PeakRSS>>20)
	}
}

// rest waits until all pods run and the numbers equal those of a recount, which it returns.
func rest(t *testing.T, client kubernetes.Interface, namespace string, source *capacity.Source) (requests capacity.Resources) {
	t.Helper()
	user.Eventually(t, patience, "numbers at rest", func(ctx context.Context) (string, error) {
		var running int
		var err error
		requests, running, err = recount(ctx, client, namespace)
		counted := source.Cluster(labels.Everything()).Requests
		if err != nil || running == *pods && equal(requests, counted) {
			return "", err
		}
		return fmt.Sprintf("%d of %d pods run; they hold %+v, counted are %+v", running, *pods, requests, counted), nil
	})
	return requests
}

// countEvents counts the events of a watch of pods.
func countEvents(t *testing.T, client kubernetes.Interface) *atomic.Int64 {
	t.Helper()
	list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{Limit: 1})
	require.NoError(t, err)
	watcher, err := client.CoreV1().Pods(metav1.NamespaceAll).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	require.NoError(t, err)
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range watcher.ResultChan() {
			n.Add(1)
		}
	}()
	t.Cleanup(func() { watcher.Stop(); <-done })
	return &n
}

// equal compares amounts of cpu, memory and pods, which are all requests of these pods.
func equal(a, b capacity.Resources) bool {
	return a.CPU == b.CPU && a.Memory == b.Memory && a.Pods == b.Pods
}

// podName returns the name of the pod of a number, after a number of replacements.
func podName(i, times int) string { return fmt.Sprintf("pod-%d-%d", i, times) }

// create creates the pod of a number, which determines its requests.
func create(ctx context.Context, client kubernetes.Interface, namespace string, i, times int) error {
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(100+i%7*33), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(64+i%5)<<20, resource.BinarySI),
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: podName(i, times)}}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{Requests: requests}}}
	pod.Spec.AutomountServiceAccountToken = new(false)
	if i%10 != 0 {
		pod.Spec.NodeName = fmt.Sprintf("node-%d", i%*nodes) // the others are placed by the scheduler, which is slower
	}
	if _, err := client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making pod %d: %w", i, err)
	}
	return nil
}

// replace deletes the pod of a number and creates another one: two changes. The new one has another name, so that
// actions of a simulated node on the old one do not affect it.
func replace(ctx context.Context, client kubernetes.Interface, namespace string, i, times int) error {
	err := client.CoreV1().Pods(namespace).Delete(ctx, podName(i, times), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	if err != nil {
		return fmt.Errorf("deleting pod %d: %w", i, err)
	}
	return create(ctx, client, namespace, i, times+1)
}

// recount computes the sums from the current objects in the API server, and the number of running pods of the
// namespace.
func recount(ctx context.Context, client kubernetes.Interface, namespace string) (sum capacity.Resources, running int, err error) {
	list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return sum, 0, fmt.Errorf("counting pods: %w", err)
	}
	for _, pod := range list.Items {
		if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if pod.Namespace == namespace && pod.Status.Phase == corev1.PodRunning {
			running++
		}
		sum.Pods++
		for _, c := range pod.Spec.Containers {
			sum.CPU += c.Resources.Requests.Cpu().MilliValue()
			sum.Memory += c.Resources.Requests.Memory().Value()
		}
	}
	return sum, running, nil
}

// watch starts a source and waits until its caches are synced.
func watch(t *testing.T, client kubernetes.Interface) *capacity.Source {
	t.Helper()
	none := listers.NewMiniClusterLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}))
	source, err := capacity.NewSource(client, none, func() bool { return true }, capacity.Options{})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- source.Run(ctx) }()
	t.Cleanup(func() { stop(); assert.NoError(t, <-done) })
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true,
		func(context.Context) (bool, error) { return source.Synced(), nil }))
	return source
}

// heap returns the heap in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // far below the limit
}
