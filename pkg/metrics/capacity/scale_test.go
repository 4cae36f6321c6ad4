package capacity

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
)

// Size of the cluster in the benchmarks.
const (
	scaleNodes        = 5_000
	scalePods         = 100_000
	scalePending      = 5_000
	scaleMiniClusters = 500
)

// scalePod returns a pod: the first ones are pending, in 50 shapes, and half of the others belong to MiniClusters.
func scalePod(i int) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: fmt.Sprintf("pod-%d", i), UID: types.UID(fmt.Sprintf("uid-%d", i)), ResourceVersion: "1",
	}}
	switch {
	case i < scalePending:
		pod.Spec.Containers = []corev1.Container{container("c", "cpu", fmt.Sprint(20+i%50), "memory", "1Gi")}
	default:
		pod.Spec.Containers = []corev1.Container{container("c", "cpu", "500m", "memory", "1Gi")}
		pod.Spec.NodeName = fmt.Sprintf("node-%d", i%scaleNodes)
		if i%2 == 0 {
			ofJob(fmt.Sprintf("m%d", i%scaleMiniClusters))(pod)
		}
	}
	return pod
}

func scaleNode(i int) *corev1.Node {
	return testNode(fmt.Sprintf("node-%d", i), "cpu", "16", "memory", "64Gi", "pods", "110")
}

// newScaleSource returns a source with the state of a large cluster.
func newScaleSource(tb testing.TB) *Source {
	miniClusters := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	source, err := NewSource(fake.NewClientset(), listers.NewMiniClusterLister(miniClusters), func() bool { return true }, Options{Interval: time.Hour})
	require.NoError(tb, err)
	source.watcher.synced = nil
	for i := range scaleNodes {
		source.watcher.state.setNode(newNodeRecord(scaleNode(i)))
	}
	for i := range scalePods {
		source.watcher.state.setPod(newPodRecord(scalePod(i)))
	}
	for i := range scaleMiniClusters {
		meta := metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("m%d", i), UID: types.UID(fmt.Sprint(i))}
		mc := &v1alpha2.MiniCluster{ObjectMeta: meta}
		mc.Spec.Opportunistic = opportunistic(fmt.Sprint(i % 10))
		require.NoError(tb, miniClusters.Add(mc))
		pod := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu", "500m")}}}
		w := workload{
			Job: types.NamespacedName{Namespace: "ns", Name: meta.Name}, Requests: podRequests(&pod), Placement: newPlacement(&pod.Spec),
		}
		require.NoError(tb, source.watcher.jobs.Add(&jobRecord{ObjectMeta: meta, owner: meta.UID, workload: w}))
	}
	return source
}

// scrape collects and encodes all metrics.
func scrape(tb testing.TB, registry *prometheus.Registry) {
	families, err := registry.Gather()
	require.NoError(tb, err)
	encoder := expfmt.NewEncoder(io.Discard, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		require.NoError(tb, encoder.Encode(family))
	}
}

// BenchmarkScale is a scrape with a new snapshot of a large cluster, while events of pods arrive. It reports the
// duration of a scrape that uses an existing snapshot, and how long an event waits.
func BenchmarkScale(b *testing.B) {
	source := newScaleSource(b)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(source))
	ctx, stop := context.WithCancel(b.Context())
	waits := make(chan []time.Duration)
	go func() {
		var all []time.Duration
		for i := scalePending; ctx.Err() == nil; i++ {
			record := newPodRecord(scalePod(scalePending + i%(scalePods-scalePending)))
			begin := time.Now()
			source.watcher.state.setPod(record)
			all = append(all, time.Since(begin))
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Microsecond):
			}
		}
		waits <- all
	}()
	for b.Loop() {
		source.mu.Lock()
		source.last = nil
		source.mu.Unlock()
		scrape(b, registry)
	}
	begin := time.Now()
	scrape(b, registry)
	b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms/cached-scrape")
	stop()
	all := <-waits
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "ms/slowest-event")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/event-p99")
}

// TestEventsDoNotWait checks that an event of a pod waits for a small part of the time in which a snapshot of a large
// cluster is taken and used.
func TestEventsDoNotWait(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a large cluster")
	}
	source := newScaleSource(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(source))
	held, whole := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	const part = 0.2
	for tries := 0; (tries == 0 || float64(held) >= part*float64(whole)) && tries < 50; tries++ { // the machine may be busy
		begin := time.Now()
		source.watcher.state.copy()
		held = min(held, time.Since(begin))
		source.mu.Lock()
		source.last = nil
		source.mu.Unlock()
		begin = time.Now()
		scrape(t, registry)
		whole = min(whole, time.Since(begin))
	}
	t.Logf("events wait for %s of %s", held, whole)
	assert.Less(t, float64(held), part*float64(whole))
}

// BenchmarkStart starts a source against an API server that does not stream lists, in separate processes, and reports
// the peak of its memory.
func BenchmarkStart(b *testing.B) {
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	address := listener.Addr().String()
	require.NoError(b, listener.Close())
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	server := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestScaleProcess$") //nolint:gosec // this program
	server.Env = append(os.Environ(), "CAPACITY_SCALE_SERVE="+address)
	require.NoError(b, server.Start())
	defer func() { stop(); _ = server.Wait() }()
	for b.Loop() {
		client := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestScaleProcess$") //nolint:gosec // this program
		client.Env = append(os.Environ(), "CAPACITY_SCALE_SOURCE=http://"+address)
		out, err := client.Output()
		require.NoError(b, err)
		_, result, _ := strings.Cut(string(out), "RESULT ")
		fields := strings.Fields(result)
		require.Len(b, fields[:2], 2)
		for i, unit := range []string{"MiB-peak-RSS", "MiB-heap"} {
			value, err := strconv.ParseFloat(fields[i], 64)
			require.NoError(b, err)
			b.ReportMetric(value, unit)
		}
	}
}

// TestScaleProcess is the process of a server or of a source in BenchmarkStart.
func TestScaleProcess(t *testing.T) {
	serve, url := os.Getenv("CAPACITY_SCALE_SERVE"), os.Getenv("CAPACITY_SCALE_SOURCE")
	switch {
	case serve != "":
		server := &http.Server{Addr: serve, Handler: http.HandlerFunc(serveScale), ReadHeaderTimeout: time.Minute}
		require.NoError(t, server.ListenAndServe())
	case url != "":
		config := &rest.Config{Host: url, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf}}
		kube, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		miniClusters := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		source, err := NewSource(kube, listers.NewMiniClusterLister(miniClusters), func() bool { return true }, Options{})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- source.Run(ctx) }()
		require.Eventually(t, source.Synced, 10*time.Minute, 10*time.Millisecond)
		require.Equal(t, scaleNodes, source.current().sumsOf(everything()).Nodes)
		peak, heap := memory(t)
		fmt.Printf("RESULT %.0f %.0f\n", peak, heap)
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
	default:
		t.Skip("it is a process of BenchmarkStart")
	}
}

// memory returns the peak of the resident memory of this process and its heap in use, in MiB.
func memory(t *testing.T) (peak, heap float64) {
	t.Helper()
	status, err := os.Open("/proc/self/status")
	require.NoError(t, err)
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			require.NoError(t, err)
			peak = kib / 1024
		}
	}
	return peak, float64(heapInUse()) / (1 << 20)
}

// serveScale serves lists of nodes, pods and Jobs in pages, and watches without events.
func serveScale(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("watch") != "" {
		if query.Get("sendInitialEvents") != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid,
				Message: "sendInitialEvents is forbidden", Code: http.StatusUnprocessableEntity,
			})
			return
		}
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	first, _ := strconv.Atoi(query.Get("continue"))
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || query.Get("resourceVersion") != "" {
		limit = 1 << 30 // like a server whose watch cache ignores limits
	}
	page := func(total int, add func(i int)) metav1.ListMeta {
		end := min(total, first+limit)
		for i := first; i < end; i++ {
			add(i)
		}
		meta := metav1.ListMeta{ResourceVersion: "10"}
		if end < total {
			meta.Continue = strconv.Itoa(end)
		}
		return meta
	}
	filler := map[string]string{"example.com/filler": strings.Repeat("0123456789", 400)} // stands for managed fields and other metadata
	var list runtime.Object
	version := corev1.SchemeGroupVersion
	switch {
	case strings.HasSuffix(r.URL.Path, "/nodes"):
		nodes := &corev1.NodeList{}
		nodes.ListMeta = page(scaleNodes, func(i int) {
			node := scaleNode(i)
			node.Annotations, node.ResourceVersion = filler, "1"
			nodes.Items = append(nodes.Items, *node)
		})
		list = nodes
	case strings.HasSuffix(r.URL.Path, "/pods"):
		pods := &corev1.PodList{}
		pods.ListMeta = page(scalePods, func(i int) {
			pod := scalePod(i)
			pod.Annotations = filler
			pods.Items = append(pods.Items, *pod)
		})
		list = pods
	default:
		list, version = &batchv1.JobList{ListMeta: metav1.ListMeta{ResourceVersion: "10"}}, batchv1.SchemeGroupVersion
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	_ = scheme.Codecs.EncoderForVersion(info.Serializer, version).Encode(list, w)
}

func everything() labels.Selector { return labels.Everything() }

func heapInUse() uint64 {
	goruntime.GC()
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkSnapshot is a new snapshot of a large cluster with the allocation of all its MiniClusters, without a scrape.
func BenchmarkSnapshot(b *testing.B) {
	source := newScaleSource(b)
	for b.Loop() {
		source.mu.Lock()
		source.last = nil
		source.mu.Unlock()
		source.current()
	}
}
