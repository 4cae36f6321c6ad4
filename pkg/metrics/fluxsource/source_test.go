package fluxsource

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	componentmetrics "k8s.io/component-base/metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
	"minicluster.internal/operator/pkg/metrics"
)

// world is a source without informers: the test fills its caches.
type world struct {
	*Source
	clusters fluxinformers.SharedInformerFactory
	address  map[string]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clusters: fluxinformers.NewSharedInformerFactory(fluxfake.NewSimpleClientset(), 0), address: map[string]string{}}
	s, err := New(Options{
		Kube: fake.NewClientset(), MiniClusters: w.clusters.FluxFramework().V1alpha2().MiniClusters(),
		Registry: componentmetrics.NewKubeRegistry(),
		Interval: time.Second, Timeout: time.Minute, MaxAge: time.Hour, Concurrency: 10,
		Address: func(p *corev1.Pod) (string, error) {
			if a, ok := w.address[p.Name]; ok {
				return a, nil
			}
			return podAddress(p)
		},
	})
	require.NoError(t, err)
	w.Source = s
	return w
}

// add creates a MiniCluster with a lead pod whose agent responds with the given text.
func (w *world) add(t testing.TB, name, service string, answer http.HandlerFunc, mods ...func(*v1alpha2.MiniCluster, *corev1.Pod)) {
	t.Helper()
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"team": name}}}
	mc.Status.JobID, mc.Status.MaximumSize = "job-"+name, 8
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name + "-0-abcde", UID: types.UID("pod-" + name),
			Labels:          map[string]string{v1alpha2.LabelHPASelector: name, v1alpha2.LabelHeadlessService: service, batchv1.JobCompletionIndexAnnotation: "0"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: name, UID: types.UID("job-" + name), Controller: new(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "other"}, {
			Name: name, Env: []corev1.EnvVar{{Name: "LARGE", Value: "x"}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(9560)}}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
	for _, mod := range mods {
		mod(mc, pod)
	}
	if answer != nil {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		w.address[pod.Name] = server.Listener.Addr().String()
	}
	require.NoError(t, w.options.MiniClusters.Informer().GetStore().Add(mc))
	stripped, err := stripPod(pod)
	require.NoError(t, err)
	require.NoError(t, w.leads.GetStore().Add(stripped))
}

func says(format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "flux_up 1\n"+format+"\n", args...) }
}

func (w *world) get(t testing.TB, resource string, metric, name string) (string, error) {
	t.Helper()
	info := metrics.Info{Resource: miniclusters, Metric: metric}
	if resource == "services" {
		info.Resource = services
	}
	values, err := w.CustomValues(t.Context(), metrics.Query{Info: info, Namespace: "ns", Name: name, Selector: labels.Everything()})
	if err != nil || len(values) == 0 {
		return "", err
	}
	assert.Len(t, values, 1) // not require: it also runs in another goroutine
	assert.False(t, values[0].At.IsZero())
	return values[0].Kind.Kind + " " + values[0].Name + "=" + values[0].Quantity.String(), nil
}

func TestValuesOfOne(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "svc", says("flux_nodes_up 3\nflux_nodes_demanded 21\nflux_jobs{state=\"run\"} 2"))
	_, err := w.get(t, "", MetricSizeDemanded, "a")
	require.ErrorContains(t, err, "no size_demanded of MiniCluster ns/a: its agent has not been queried yet")
	w.collector.round(t.Context())
	for _, tc := range []struct{ resource, metric, name, want string }{
		{"", "node_up_count", "a", "MiniCluster a=3"},
		{"", "job_queue_state_run_count", "a", "MiniCluster a=2"},
		{"", MetricSizeDemanded, "a", "MiniCluster a=8"}, // at most the maximum
		{"services", "node_up_count", "svc", "Service svc=3"},
		{"services", "node_up_count", tutorialService, "Service custom-metrics-apiserver=3"},
		{"services", "node_up_count", "else", ""},
		{"", "node_up_count", "else", ""},
		{"services", "node_up_count", "", "Service svc=3"},
	} {
		got, err := w.get(t, tc.resource, tc.metric, tc.name)
		require.NoError(t, err)
		assert.Equal(t, tc.want, got, tc)
	}
	_, err = w.get(t, "", "node_free_count", "a")
	require.ErrorContains(t, err, "does not provide flux_nodes_free")
}

// If there are very many jobs, the agent does not include all of them. The demand is then a lower bound: an
// autoscaler may grow because of it, but not shrink.
// TestApplicationMetrics checks metrics that applications have set, next to those of Flux.
func TestApplicationMetrics(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "svc", says("flux_nodes_up 3\nflux_application_metric{name=\"wanted\"} 12\nflux_application_metric{name=\"node_up_count\"} 9"))
	w.add(t, "b", "other", says("flux_nodes_up 3"))
	w.collector.round(t.Context())
	p := metrics.NewProvider(w)
	get := func(resource schema.GroupResource, name, metric string) (string, error) {
		v, err := p.GetMetricByName(t.Context(), types.NamespacedName{Namespace: "ns", Name: name}, provider.CustomMetricInfo{GroupResource: resource, Metric: metric}, nil)
		if err != nil {
			return "", err //nolint:wrapcheck // a test
		}
		return v.Value.String(), nil
	}
	for resource, name := range map[schema.GroupResource]string{miniclusters: "a", services: "svc"} {
		value, err := get(resource, name, "wanted")
		require.NoError(t, err)
		assert.Equal(t, "12", value)
	}
	value, err := get(miniclusters, "a", "node_up_count")
	require.NoError(t, err)
	assert.Equal(t, "3", value, "a metric of Flux takes precedence")
	_, err = get(miniclusters, "b", "wanted")
	require.ErrorContains(t, err, "no wanted of MiniCluster ns/b: its application has not set it, or the value has expired")
	_, err = get(miniclusters, "a", "unwanted")
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	list, err := p.GetMetricBySelector(t.Context(), "ns", labels.Everything(), provider.CustomMetricInfo{GroupResource: miniclusters, Metric: "wanted"}, nil)
	require.NoError(t, err)
	assert.Len(t, list.Items, 1)
	_, err = p.GetMetricBySelector(t.Context(), "elsewhere", labels.Everything(), provider.CustomMetricInfo{GroupResource: miniclusters, Metric: "wanted"}, nil)
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestUncountedJobs(t *testing.T) {
	const demand = "flux_nodes_demanded 5\nflux_nodes_pending 4\nflux_cores_pending 16\nflux_nodes_up 1\nflux_jobs_uncounted %d"
	w := newWorld(t)
	for name, size := range map[string]int32{"less": 4, "same": 5, "more": 6} {
		w.add(t, name, "svc-"+name, says(demand, 70), func(mc *v1alpha2.MiniCluster, _ *corev1.Pod) { mc.Status.Size = size })
	}
	w.add(t, "all", "svc-all", says(demand, 0), func(mc *v1alpha2.MiniCluster, _ *corev1.Pod) { mc.Status.Size = 6 })
	w.collector.round(t.Context())
	for _, tc := range []struct{ name, metric, want string }{
		{"less", MetricSizeDemanded, "5"},
		{"same", MetricSizeDemanded, "5"},
		{"more", MetricSizeDemanded, ""},
		{"less", "nodes_pending", ""},
		{"less", "cores_pending", ""},
		{"less", "node_up_count", "1"},
		{"less", metricUncounted, "70"},
		{"all", MetricSizeDemanded, "5"},
		{"all", "nodes_pending", "4"},
		{"all", "cores_pending", "16"},
	} {
		got, err := w.get(t, "", tc.metric, tc.name)
		if tc.want == "" {
			require.ErrorContains(t, err, "no "+tc.metric+" of MiniCluster ns/"+tc.name+": 70 pending jobs are not included in the demand")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, "MiniCluster "+tc.name+"="+tc.want, got, tc)
	}
}

// The recommended size is never below the minimum, since the controller would reject it.
func TestDemandedAtLeastTheMinimum(t *testing.T) {
	w := newWorld(t)
	w.add(t, "idle", "svc", says("flux_nodes_demanded 1\nflux_nodes_up 1"), func(mc *v1alpha2.MiniCluster, _ *corev1.Pod) { mc.Spec.MinSize = 3 })
	w.collector.round(t.Context())
	for metric, want := range map[string]string{MetricSizeDemanded: "MiniCluster idle=3", "node_up_count": "MiniCluster idle=1"} {
		got, err := w.get(t, "", metric, "idle")
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// TestDemandOfHibernated: the demand of a cluster without a lead is the one that was saved, within its bounds. A size
// that a user wakes it with counts, too.
func TestDemandOfHibernated(t *testing.T) {
	w := newWorld(t)
	hibernates := func(demand int32, reason string, zero bool) func(*v1alpha2.MiniCluster, *corev1.Pod) {
		return func(mc *v1alpha2.MiniCluster, pod *corev1.Pod) {
			mc.Spec.Hibernation = &v1alpha2.Hibernation{ScaleToZero: zero}
			mc.Status.Hibernation = &v1alpha2.HibernationStatus{Demand: demand}
			mc.Status.Conditions = []metav1.Condition{{Type: v1alpha2.ConditionHibernated, Status: metav1.ConditionTrue, Reason: reason}}
			pod.OwnerReferences = nil
		}
	}
	w.add(t, "some", "s1", nil, hibernates(5, v1alpha2.ReasonHibernated, true))
	w.add(t, "many", "s2", nil, hibernates(50, v1alpha2.ReasonHibernated, false))
	w.add(t, "none", "s3", nil, hibernates(0, v1alpha2.ReasonNothingKept, true))
	w.add(t, "suspended", "s4", nil, hibernates(0, v1alpha2.ReasonHibernated, false))
	scaled := func(size, demand int32) func(*v1alpha2.MiniCluster, *corev1.Pod) {
		return func(mc *v1alpha2.MiniCluster, pod *corev1.Pod) {
			hibernates(demand, v1alpha2.ReasonHibernated, true)(mc, pod)
			mc.Spec.Size, mc.Status.Hibernation.Cause = new(size), v1alpha2.CauseScaledToZero
		}
	}
	w.add(t, "zero", "s6", nil, scaled(0, 3))
	w.add(t, "woken", "s7", nil, scaled(2, 0))
	w.add(t, "woken-with-jobs", "s8", nil, scaled(2, 3))
	for name, want := range map[string]string{
		"some": "5", "many": "8", "none": "0", "suspended": "1",
		"zero": "3", "woken": "2", "woken-with-jobs": "3",
	} {
		got, err := w.get(t, "", MetricSizeDemanded, name)
		require.NoError(t, err)
		assert.Equal(t, "MiniCluster "+name+"="+want, got)
	}
	_, err := w.get(t, "", "node_up_count", "some")
	require.Error(t, err)
	external := func(metric string) []metrics.Value {
		values, err := w.ExternalValues(t.Context(), metrics.ExternalQuery{Namespace: "ns", Metric: metric, Selector: labels.Everything()})
		require.NoError(t, err)
		return values
	}
	assert.Len(t, external(MetricSizeDemanded), 7)
	assert.Empty(t, external("node_up_count"))

	w.add(t, "awake", "s5", says("flux_nodes_demanded 0"), func(mc *v1alpha2.MiniCluster, _ *corev1.Pod) {
		mc.Spec.Hibernation = &v1alpha2.Hibernation{ScaleToZero: true}
	})
	w.collector.round(t.Context())
	got, err := w.get(t, "", MetricSizeDemanded, "awake")
	require.NoError(t, err)
	assert.Equal(t, "MiniCluster awake=0", got, "it may hibernate")
}

func TestWhatIsNotKnownIsAnError(t *testing.T) {
	w := newWorld(t)
	w.add(t, "silent", "s1", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "flux_up 0") })
	w.add(t, "broken", "s2", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusTeapot) })
	w.add(t, "elsewhere", "s3", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/other", http.StatusFound) })
	w.add(t, "pending", "s4", nil, func(_ *v1alpha2.MiniCluster, p *corev1.Pod) { p.Status.Phase = corev1.PodPending })
	w.add(t, "going", "s5", nil, func(_ *v1alpha2.MiniCluster, p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) })
	w.add(t, "forged", "s6", says("flux_nodes_up 9"), func(_ *v1alpha2.MiniCluster, p *corev1.Pod) { p.OwnerReferences[0].UID = "another" })
	w.add(t, "bare", "s7", nil, func(_ *v1alpha2.MiniCluster, p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] })
	w.add(t, "fine", "s8", says("flux_nodes_up 1"))
	w.collector.round(t.Context())
	for name, want := range map[string]string{
		"silent": "its lead broker does not respond", "broken": "418", "elsewhere": "302", "pending": "is not running: Pending",
		"going": "is terminating", "forged": "it has no lead pod", "bare": "has no agent",
	} {
		_, err := w.get(t, "", "node_up_count", name)
		require.ErrorContains(t, err, want, name)
		require.ErrorContains(t, err, "ns/"+name)
	}
	all := metrics.Query{Info: metrics.Info{Resource: miniclusters, Metric: "node_up_count"}, Namespace: "ns", Selector: labels.Everything()}
	values, err := w.CustomValues(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, values, 1, "the known values")
	all.Selector = labels.SelectorFromSet(labels.Set{"team": "silent"})
	_, err = w.CustomValues(t.Context(), all)
	require.ErrorContains(t, err, "ns/silent", "none is")

	external := func(selector string) ([]metrics.Value, error) {
		parsed, err := labels.Parse(selector)
		require.NoError(t, err)
		return w.ExternalValues(t.Context(), metrics.ExternalQuery{Namespace: "ns", Metric: "node_up_count", Selector: parsed})
	}
	_, err = external("")
	require.Error(t, err, "the sum would be wrong")
	values, err = external("minicluster=fine")
	require.NoError(t, err)
	require.Len(t, values, 1)
	w.add(t, "silent", "s1", nil, over(v1alpha2.ConditionComplete))
	for _, name := range []string{"broken", "elsewhere", "pending", "going", "forged", "bare"} {
		w.add(t, name, "s", nil, over(v1alpha2.ConditionFailed))
	}
	values, err = external("")
	require.NoError(t, err, "finished MiniClusters are not missing values")
	require.Len(t, values, 1)
	values, err = external("team in (nobody)")
	require.NoError(t, err)
	assert.Empty(t, values)
}

// over returns a MiniCluster that has ended.
func over(condition string) func(*v1alpha2.MiniCluster, *corev1.Pod) {
	return func(mc *v1alpha2.MiniCluster, pod *corev1.Pod) {
		mc.Status.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue}}
		pod.Status.Phase = corev1.PodSucceeded
	}
}

// The selector of a metric applies to one object and to all objects.
func TestMetricSelector(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "svc", says("flux_nodes_up 3"))
	w.collector.round(t.Context())
	for text, want := range map[string]int{"team=a": 1, "team=b": 0} {
		selector, err := labels.Parse(text)
		require.NoError(t, err)
		for _, q := range []metrics.Query{{Name: "a"}, {}, {Name: "svc"}, {Name: tutorialService}} {
			q.Info, q.Namespace = metrics.Info{Resource: miniclusters, Metric: "node_up_count"}, "ns"
			q.Selector, q.MetricSelector = labels.Everything(), selector
			if q.Name != "" && q.Name != "a" {
				q.Resource = services
			}
			values, err := w.CustomValues(t.Context(), q)
			require.NoError(t, err)
			assert.Len(t, values, want, "%s of %q", text, q.Name)
		}
	}
}

// The image of a lead pod belongs to a user, so its response is not trusted.
func TestAnswersAreBounded(t *testing.T) {
	w := newWorld(t)
	w.add(t, "endless", "s1", says("flux_nodes_up +Inf"))
	w.add(t, "huge", "s2", says("flux_nodes_up 1e300"))
	w.add(t, "long", "s3", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, "flux_up 1\n# "+strings.Repeat("x", 2*maxExposition)+"\nflux_nodes_up 3\n")
	})
	w.add(t, "heady", "s4", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X", strings.Repeat("x", 64<<10))
		says("flux_nodes_up 3")(rw, r)
	})
	w.collector.round(t.Context())
	for name, want := range map[string]string{
		"endless": "invalid value of flux_nodes_up: +Inf", "huge": "invalid value of flux_nodes_up: 1e+300", "long": "", "heady": "failed to reach its agent",
	} {
		_, err := w.get(t, "", "node_up_count", name)
		require.Error(t, err, name)
		require.ErrorContains(t, err, want)
	}
}

// TestThoseThatFailedComeLast checks that agents that do not respond do not delay the values of the others.
func TestThoseThatFailedComeLast(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		answer := says("flux_nodes_up 1")
		if i%2 == 0 {
			answer = func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusTeapot) }
		}
		w.add(t, fmt.Sprintf("mc-%d", i), "svc", answer)
	}
	w.collector.round(t.Context())
	targets := w.targets()
	w.collector.failedLast(targets)
	for i, target := range targets {
		assert.Equal(t, i >= 20, w.collector.samples[target.cluster].err != nil, i)
	}
}

func TestOldNumbersAreNotGivenOut(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	w.add(t, "a", "svc", func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		says("flux_nodes_up 3")(rw, r)
	})
	w.collector.round(t.Context())
	_, err := w.get(t, "", "node_up_count", "a")
	require.NoError(t, err)
	w.options.MaxAge = time.Nanosecond
	_, err = w.get(t, "", "node_up_count", "a")
	require.ErrorContains(t, err, "old")
	w.options.MaxAge = time.Hour
	down.Store(true)
	w.collector.round(t.Context())
	_, err = w.get(t, "", "node_up_count", "a")
	require.ErrorContains(t, err, "failed to reach its agent", "the error of the last query replaces the value")

	down.Store(false)
	w.collector.round(t.Context())
	w.add(t, "a", "svc", says("flux_nodes_up 1"), func(_ *v1alpha2.MiniCluster, p *corev1.Pod) { p.UID = "the next pod" })
	_, err = w.get(t, "", "node_up_count", "a")
	require.ErrorContains(t, err, "has not been queried yet", "the values of its predecessor are not used")
}

func TestServiceOfSeveral(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "shared", says("flux_nodes_up 1"))
	w.add(t, "b", "shared", says("flux_nodes_up 2"))
	w.collector.round(t.Context())
	for _, name := range []string{"shared", tutorialService} {
		_, err := w.get(t, "services", "node_up_count", name)
		require.ErrorContains(t, err, "several MiniClusters (a, b)")
	}
	got, err := w.get(t, "services", "node_up_count", "")
	require.NoError(t, err)
	assert.Empty(t, got)
}

// TestOneThatHangsDelaysNoOther checks that values are available while one agent does not respond.
func TestOneThatHangsDelaysNoOther(t *testing.T) {
	w := newWorld(t)
	hangs, release := context.WithCancel(t.Context())
	defer release()
	w.add(t, "hangs", "s", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs.Done():
		case <-r.Context().Done():
		}
	})
	for i := range 30 {
		w.add(t, fmt.Sprintf("c%d", i), "s", says("flux_nodes_up %d", i))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.collector.round(t.Context())
	}()
	require.Eventually(t, func() bool {
		for i := range 30 {
			if got, err := w.get(t, "", "node_up_count", fmt.Sprintf("c%d", i)); err != nil || got != fmt.Sprintf("MiniCluster c%d=%d", i, i) {
				return false
			}
		}
		return true
	}, time.Minute, 5*time.Millisecond)
	select {
	case <-done:
		t.Fatal("the round has ended before all agents responded")
	default:
	}
	release()
	<-done
}

func TestGoneClustersAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "svc", says("flux_nodes_up 1"))
	w.collector.round(t.Context())
	assert.Len(t, w.collector.samples, 1)
	require.NoError(t, w.leads.GetStore().Delete(w.leads.GetStore().List()[0]))
	w.collector.round(t.Context())
	assert.Empty(t, w.collector.samples)
}

func TestPodAddress(t *testing.T) {
	w := newWorld(t)
	w.add(t, "a", "svc", nil)
	pod, ok := w.leads.GetStore().List()[0].(*corev1.Pod)
	require.True(t, ok)
	address, err := podAddress(pod)
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.1:9560", address)
	assert.Empty(t, pod.Spec.Containers[0].Env, "fields that are not needed are removed")
	assert.Len(t, pod.Spec.Containers, 1)
}
