package capacity

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/resource"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/cmdutil"
)

// watcher keeps a clusterState up to date. It watches all nodes, all pods that have not ended, and the Jobs of
// MiniClusters, and keeps a small record of each.
type watcher struct {
	state *clusterState

	informers []cache.SharedIndexInformer
	synced    []cache.InformerSynced
	jobs      cache.Store
	pods      cache.Indexer
}

// jobRecord contains the fields of the Job of a MiniCluster that this package needs.
type jobRecord struct {
	// ObjectMeta has only the name, the namespace, the UID and the resource version.
	metav1.ObjectMeta
	// owner is the UID of the MiniCluster.
	owner types.UID
	// workload without the reserve, which the Job does not contain.
	workload workload
}

// newWatcher returns a watcher, which starts with run. It keeps the labels of pods only if podLabels is set.
func newWatcher(client kubernetes.Interface, podLabels bool) (*watcher, error) {
	w := &watcher{state: newClusterState()}
	nodes, pods, jobs, err := newInformers(client, podLabels)
	if err != nil {
		return nil, err
	}
	w.pods, w.jobs = pods.GetIndexer(), jobs.GetStore()
	w.informers = []cache.SharedIndexInformer{nodes, pods, jobs}
	w.synced = []cache.InformerSynced{jobs.HasSynced}
	for _, watch := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{nodes, handler(w.state.setNode, func(name types.NamespacedName) { w.state.deleteNode(name.Name) })},
		{pods, handler(w.state.setPod, w.state.deletePod)},
	} {
		registration, err := watch.informer.AddEventHandler(watch.handler)
		if err != nil {
			return nil, fmt.Errorf("creating an informer: %w", err)
		}
		w.synced = append(w.synced, registration.HasSynced)
	}
	return w, nil
}

// newInformers returns informers of all nodes, of the pods that have not ended, and of the Jobs of MiniClusters.
func newInformers(client kubernetes.Interface, podLabels bool) (nodes, pods, jobs cache.SharedIndexInformer, err error) {
	active := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
	).String()
	managed := labels.Set{v1alpha2.LabelController: v1alpha2.ManagedBy}.AsSelector().String()
	ofPods := cache.Indexers{}
	if podLabels {
		ofPods[cache.NamespaceIndex] = cache.MetaNamespaceIndexFunc
	}
	transform := record(podLabels)
	for _, kind := range []struct {
		informer *cache.SharedIndexInformer
		pages    cmdutil.Pages
		example  runtime.Object
		indexers cache.Indexers
	}{
		{&nodes, cmdutil.Pages{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return client.CoreV1().Nodes().List(ctx, o)
			},
			Watch:   client.CoreV1().Nodes().Watch,
			Options: func(*metav1.ListOptions) {},
		}, &corev1.Node{}, cache.Indexers{}},
		{&pods, cmdutil.Pages{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
			},
			Watch:   client.CoreV1().Pods(metav1.NamespaceAll).Watch,
			Options: func(o *metav1.ListOptions) { o.FieldSelector = active },
		}, &corev1.Pod{}, ofPods},
		{&jobs, cmdutil.Pages{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return client.BatchV1().Jobs(metav1.NamespaceAll).List(ctx, o)
			},
			Watch:   client.BatchV1().Jobs(metav1.NamespaceAll).Watch,
			Options: func(o *metav1.ListOptions) { o.LabelSelector = managed },
		}, &batchv1.Job{}, cache.Indexers{}},
	} {
		kind.pages.Client, kind.pages.Transform = client, transform
		if *kind.informer, err = cmdutil.NewPagedInformer(kind.pages, kind.example, kind.indexers); err != nil {
			return nil, nil, nil, err
		}
	}
	return nodes, pods, jobs, nil
}

// run watches until the context ends.
func (w *watcher) run(ctx context.Context) {
	done := make(chan struct{})
	for _, informer := range w.informers {
		go func() {
			informer.RunWithContext(ctx)
			done <- struct{}{}
		}()
	}
	for range w.informers {
		<-done
	}
}

// hasSynced reports whether the state contains all objects that existed when the watcher started.
func (w *watcher) hasSynced() bool {
	for _, synced := range w.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// record returns the transform of all informers, which replaces objects by small records before they are
// cached.
func record(podLabels bool) cache.TransformFunc {
	return func(obj any) (any, error) {
		switch o := obj.(type) {
		case *corev1.Pod:
			pod := newPodRecord(o)
			if podLabels {
				pod.Labels = o.Labels
			}
			return pod, nil
		case *corev1.Node:
			return newNodeRecord(o), nil
		case *batchv1.Job:
			return newJobRecord(o), nil
		default:
			return obj, nil // a record, or the tombstone of one
		}
	}
}

// podNames returns the names of the pods in a namespace that have not ended and whose labels match a selector.
func (w *watcher) podNames(namespace string, selector labels.Selector) []string {
	objs, err := w.pods.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil // labels are not kept
	}
	var names []string
	for _, obj := range objs {
		if pod, ok := obj.(*podRecord); ok && selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

func newJobRecord(job *batchv1.Job) *jobRecord {
	r := &jobRecord{ObjectMeta: identity(&job.ObjectMeta)}
	if owner := metav1.GetControllerOf(job); owner != nil {
		r.owner = owner.UID
	}
	spec := withDefaultRequests(&job.Spec.Template.Spec)
	r.workload = workload{
		Job:       types.NamespacedName{Namespace: job.Namespace, Name: job.Name},
		Requests:  podRequests(&corev1.Pod{Spec: *spec}),
		Placement: newPlacement(spec),
		Priority:  ptr.Deref(spec.Priority, 0),
		Suspended: ptr.Deref(job.Spec.Suspend, false),
	}
	return r
}

// withDefaultRequests returns the spec of a template with the defaults of its pods: the API server sets missing
// requests to the limits in pods, but not in templates.
func withDefaultRequests(spec *corev1.PodSpec) *corev1.PodSpec {
	spec = spec.DeepCopy()
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			requestLimits(&containers[i].Resources, nil)
		}
	}
	if spec.Resources != nil {
		// Requests of containers take precedence over pod-level limits.
		requestLimits(spec.Resources, resource.AggregateContainerRequests(&corev1.Pod{Spec: *spec}, resource.PodResourcesOptions{}))
	}
	return spec
}

// requestLimits sets missing requests to the limits, except for resources that are known otherwise.
func requestLimits(r *corev1.ResourceRequirements, known corev1.ResourceList) {
	for name, limit := range r.Limits {
		_, requested := r.Requests[name]
		if _, ok := known[name]; requested || ok {
			continue
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = limit
	}
}

// handler returns an event handler for one type of record.
func handler[T metav1.Object](set func(T), remove func(types.NamespacedName)) cache.ResourceEventHandler {
	update := func(obj any) {
		if o, ok := obj.(T); ok {
			set(o)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    update,
		UpdateFunc: func(_, obj any) { update(obj) },
		DeleteFunc: func(obj any) {
			if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
				remove(types.NamespacedName(name))
			}
		},
	}
}

// Records implement runtime.Object, as informers require. They are immutable, so a copy may share their content.

// GetObjectKind implements runtime.Object.
func (n *nodeRecord) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (n *nodeRecord) DeepCopyObject() runtime.Object { return new(*n) }

// GetObjectKind implements runtime.Object.
func (p *podRecord) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (p *podRecord) DeepCopyObject() runtime.Object { return new(*p) }

// GetObjectKind implements runtime.Object.
func (r *jobRecord) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (r *jobRecord) DeepCopyObject() runtime.Object { return new(*r) }
