package hardening_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// patience is the timeout of waits for something that should happen soon. It is long because the machine may be busy,
// and because the garbage collector discovers new kinds only every 30 s; it is not a measure of speed.
const patience = user.Patience

// change is one event of a watch.
type change struct {
	kind    string // Job, Secret, ...
	deleted bool
	object  metav1.Object
	version int64
	at      time.Time
}

// world records every object in a namespace with watches, so that it also sees objects that existed only for a
// moment.
type world struct {
	// mayBreak: the API server is about to stop.
	mayBreak atomic.Bool

	mu      sync.Mutex
	changes []change
	now     map[string]map[string]metav1.Object // by kind and name
	news    chan struct{}                       // closed at the next change
}

// followWorld starts to record a namespace that is still empty.
func followWorld(t *testing.T, u user.Clients) *world {
	t.Helper()
	kube, namespace := u.Kube, u.Namespace
	w := &world{now: map[string]map[string]metav1.Object{}, news: make(chan struct{})}
	everything := metav1.ListOptions{}
	for kind, source := range map[string]*cache.ListWatch{
		"MiniCluster": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return u.MiniClusters().List(ctx, everything)
			},
			WatchFuncWithContext: u.MiniClusters().Watch,
		},
		"Job": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.BatchV1().Jobs(namespace).List(ctx, everything)
			},
			WatchFuncWithContext: kube.BatchV1().Jobs(namespace).Watch,
		},
		"ConfigMap": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().ConfigMaps(namespace).List(ctx, everything)
			},
			WatchFuncWithContext: kube.CoreV1().ConfigMaps(namespace).Watch,
		},
		"Secret": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().Secrets(namespace).List(ctx, everything)
			},
			WatchFuncWithContext: kube.CoreV1().Secrets(namespace).Watch,
		},
		"Service": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().Services(namespace).List(ctx, everything)
			},
			WatchFuncWithContext: kube.CoreV1().Services(namespace).Watch,
		},
		// Those of spec.services.
		"Pod": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().Pods(namespace).List(ctx, managed(everything))
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return kube.CoreV1().Pods(namespace).Watch(ctx, managed(o))
			},
		},
		"PersistentVolumeClaim": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().PersistentVolumeClaims(namespace).List(ctx, everything)
			},
			WatchFuncWithContext: kube.CoreV1().PersistentVolumeClaims(namespace).Watch,
		},
		// Those of all namespaces, whose names differ.
		"PersistentVolume": {
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return kube.CoreV1().PersistentVolumes().List(ctx, everything)
			},
			WatchFuncWithContext: kube.CoreV1().PersistentVolumes().Watch,
		},
	} {
		list, err := source.ListWithContextFunc(t.Context(), everything)
		require.NoError(t, err)
		items, err := meta.ExtractList(list)
		require.NoError(t, err)
		for _, item := range items {
			w.add(t, kind, watch.Event{Type: watch.Added, Object: item})
		}
		listMeta, err := meta.ListAccessor(list)
		require.NoError(t, err)
		// It continues when the API server is restarted.
		events, err := watchtools.NewRetryWatcherWithContext(t.Context(), listMeta.GetResourceVersion(), source)
		require.NoError(t, err)
		go func() {
			for e := range events.ResultChan() {
				w.add(t, kind, e)
			}
		}()
	}
	return w
}

// managed restricts a list to objects with the controller's label.
func managed(o metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector = v1alpha2.LabelController + "=" + v1alpha2.ManagedBy
	return o
}

func (w *world) add(t *testing.T, kind string, e watch.Event) {
	o, ok := e.Object.(metav1.Object)
	if !ok {
		if t.Context().Err() == nil && !w.mayBreak.Load() {
			t.Errorf("the watch of %ss broke: %v", kind, e.Object)
		}
		return
	}
	version, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	assert.NoError(t, err)
	c := change{kind: kind, deleted: e.Type == watch.Deleted, object: o, version: version, at: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, c)
	if w.now[kind] == nil {
		w.now[kind] = map[string]metav1.Object{}
	}
	if c.deleted {
		delete(w.now[kind], o.GetName())
	} else {
		w.now[kind][o.GetName()] = o
	}
	close(w.news)
	w.news = make(chan struct{})
}

// wait waits until a check of the current state returns "", and fails with the last text.
func (w *world) wait(t *testing.T, what string, check func() string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		lack, news := w.try(check)
		if lack == "" {
			return
		}
		select {
		case <-news:
		case <-timeout.C:
			require.Failf(t, "timed out", "%s: %s", what, lack)
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		}
	}
}

// try returns the text of a check, which may panic for objects that do not exist yet, and the channel of the next news.
func (w *world) try(check func() string) (lack string, news chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lack, err := user.Try(func() (string, error) { return check(), nil })
	if err != nil {
		lack = err.Error()
	}
	return lack, w.news
}

// The next methods are for checks, which hold the lock.

func get[T any](w *world, kind, name string) T {
	o, _ := w.now[kind][name].(T)
	return o
}

// The following methods use the history.

func (w *world) history() []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// silent returns how long nothing has changed.
func (w *world) silent() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.changes[len(w.changes)-1].at)
}

// uids returns the UIDs, in the order of their creation, of all objects of a kind that a MiniCluster of a UID owned,
// or that had its UID as a label.
func (w *world) uids(kind string, owner types.UID) []types.UID {
	return uidsIn(w.history(), kind, owner)
}

func uidsIn(changes []change, kind string, owner types.UID) []types.UID {
	var out []types.UID
	for _, c := range changes {
		owns := slices.ContainsFunc(c.object.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == owner }) ||
			c.object.GetLabels()[v1alpha2.LabelMiniClusterUID] == string(owner)
		if c.kind == kind && owns && !slices.Contains(out, c.object.GetUID()) {
			out = append(out, c.object.GetUID())
		}
	}
	return out
}

// sizes returns the sizes of the Jobs of a name over time, each change once. A Job whose parallelism and completions
// differ counts as size -1.
func (w *world) sizes(name string) []int32 {
	var out []int32
	for _, c := range w.history() {
		job, ok := c.object.(*batchv1.Job)
		if !ok || job.Name != name || c.deleted {
			continue
		}
		size := *job.Spec.Parallelism
		if size != *job.Spec.Completions {
			size = -1
		}
		if len(out) == 0 || out[len(out)-1] != size {
			out = append(out, size)
		}
	}
	return out
}

// first waits for a change, and returns the first such one. Each kind has a separate watch, so a change may arrive
// after a later one of another kind.
func (w *world) first(t *testing.T, what string, is func(metav1.Object) bool) change {
	t.Helper()
	var first change
	w.wait(t, what, func() string {
		i := slices.IndexFunc(w.changes, func(c change) bool { return is(c.object) })
		if i < 0 {
			return "there was none"
		}
		first = w.changes[i]
		return ""
	})
	return first
}

// describe describes a MiniCluster's status and Job.
func describe(mc *v1alpha2.MiniCluster, job *batchv1.Job) string {
	var b strings.Builder
	if mc == nil {
		return "no MiniCluster"
	}
	fmt.Fprintf(&b, "spec.size %d, generation %d, status %d/%d of %d, observed %d", mc.RequestedSize(), mc.Generation,
		mc.Status.ReadySize, mc.Status.Size, mc.Status.MaximumSize, mc.Status.ObservedGeneration)
	for _, c := range mc.Status.Conditions {
		fmt.Fprintf(&b, "; %s=%s/%s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	if job == nil {
		return b.String() + "; no Job"
	}
	fmt.Fprintf(&b, "; Job %d/%d, %+v", *job.Spec.Parallelism, *job.Spec.Completions, job.Status)
	return b.String()
}

func quorumOf(o metav1.Object) string {
	conf, ok := o.(*corev1.ConfigMap)
	if !ok {
		return ""
	}
	return conf.Data["quorum"]
}
