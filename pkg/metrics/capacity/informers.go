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
	"k8s.io/apimachinery/pkg/types"
	batchinformers "k8s.io/client-go/informers/batch/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/resource"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Watcher keeps a State up to date with a cluster. It watches all nodes, all pods that
// have not ended, and the Jobs of MiniClusters; of each it keeps a small record only.
type Watcher struct {
	state *State

	informers []cache.SharedIndexInformer
	synced    []cache.InformerSynced
	jobs      cache.Store
	pods      cache.Indexer
}

// template is what has to be known of a MiniCluster's Job.
type template struct {
	// ObjectMeta has the name, the namespace, the UID and the resource version, and
	// nothing else.
	metav1.ObjectMeta
	// owner is the UID of the MiniCluster.
	owner types.UID
	// app lacks the reserve, which the Job doesn't know.
	app Application
}

// NewWatcher makes a watcher, which begins with Run. It keeps the labels of pods only if
// they are wanted, for Pods.
func NewWatcher(client kubernetes.Interface, podLabels bool) (*Watcher, error) {
	w := &Watcher{state: NewState()}
	unended := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
	).String()
	indexers := cache.Indexers{}
	if podLabels {
		indexers[cache.NamespaceIndex] = cache.MetaNamespaceIndexFunc
	}
	pods := coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, indexers,
		func(o *metav1.ListOptions) { o.FieldSelector = unended })
	w.pods = pods.GetIndexer()
	nodes := coreinformers.NewNodeInformer(client, 0, cache.Indexers{})
	ours := labels.Set{v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}.AsSelector().String()
	jobs := batchinformers.NewFilteredJobInformer(client, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.LabelSelector = ours })
	w.jobs = jobs.GetStore()

	for _, watch := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{nodes, handler(w.state.SetNode, func(name types.NamespacedName) { w.state.DeleteNode(name.Name) })},
		{pods, handler(w.state.SetPod, w.state.DeletePod)},
		{jobs, nil},
	} {
		w.informers = append(w.informers, watch.informer)
		if err := watch.informer.SetTransform(record(podLabels)); err != nil {
			return nil, fmt.Errorf("setting up a watch: %w", err)
		}
		if watch.handler == nil {
			w.synced = append(w.synced, watch.informer.HasSynced)
			continue
		}
		registration, err := watch.informer.AddEventHandler(watch.handler)
		if err != nil {
			return nil, fmt.Errorf("setting up a watch: %w", err)
		}
		w.synced = append(w.synced, registration.HasSynced)
	}
	return w, nil
}

// Run watches until the context ends.
func (w *Watcher) Run(ctx context.Context) {
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

// HasSynced tells whether the state has all that existed when the watcher began.
func (w *Watcher) HasSynced() bool {
	for _, synced := range w.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// record is the transform of all informers. It lets go of everything that is not needed,
// before the cache has it.
func record(podLabels bool) cache.TransformFunc {
	return func(obj any) (any, error) {
		switch o := obj.(type) {
		case *corev1.Pod:
			pod := NewPod(o)
			if podLabels {
				pod.Labels = o.Labels
			}
			return pod, nil
		case *corev1.Node:
			return NewNode(o), nil
		case *batchv1.Job:
			return newTemplate(o), nil
		default:
			return obj, nil // a record already, or the tombstone of one
		}
	}
}

// Pods returns the names of the pods of a namespace that have not ended and that a selector
// selects by their labels.
func (w *Watcher) Pods(namespace string, selector labels.Selector) []string {
	objs, err := w.pods.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil // nobody wanted labels
	}
	var names []string
	for _, obj := range objs {
		if pod, ok := obj.(*Pod); ok && selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

func newTemplate(job *batchv1.Job) *template {
	t := &template{ObjectMeta: identity(&job.ObjectMeta)}
	if owner := metav1.GetControllerOf(job); owner != nil {
		t.owner = owner.UID
	}
	spec := withDefaultRequests(&job.Spec.Template.Spec)
	t.app = Application{
		Job:       types.NamespacedName{Namespace: job.Namespace, Name: job.Name},
		Requests:  PodRequests(&corev1.Pod{Spec: *spec}),
		Placement: NewPlacement(spec),
		Priority:  ptr.Deref(spec.Priority, 0),
	}
	return t
}

// withDefaultRequests is the spec of a template as its pods will have it: the API server makes a
// limit the request of pods that have none, but not of templates.
func withDefaultRequests(spec *corev1.PodSpec) *corev1.PodSpec {
	spec = spec.DeepCopy()
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			requestLimits(&containers[i].Resources, nil)
		}
	}
	if spec.Resources != nil {
		// What containers ask for is what the pod asks for.
		requestLimits(spec.Resources, resource.AggregateContainerRequests(&corev1.Pod{Spec: *spec}, resource.PodResourcesOptions{}))
	}
	return spec
}

// requestLimits makes limits the requests that are missing, but those that are known otherwise.
func requestLimits(r *corev1.ResourceRequirements, known corev1.ResourceList) {
	for name, limit := range r.Limits {
		_, asked := r.Requests[name]
		if _, is := known[name]; asked || is {
			continue
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = limit
	}
}

// handler passes records of one kind on.
func handler[T metav1.Object](set func(T), forget func(types.NamespacedName)) cache.ResourceEventHandler {
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
				forget(types.NamespacedName(name))
			}
		},
	}
}
