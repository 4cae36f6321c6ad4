package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	fluxfake "minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// podObjects are all pods; the controller only caches those of spec.services, and leads.
const podObjects = pods

// leads are those of the pods that run lead brokers, which the controller caches on their own.
const leads cachedResource = "leads"

// object is any object of the API.
type apiObject interface {
	runtime.Object
	metav1.Object
}

// world is a small API server: optimistic concurrency, generations, the status subresource, preconditions, and
// watches that deliver events on demand. It can fail requests, before or after it has executed them.
type world struct {
	testing.TB
	version int64
	uids    int
	objects map[cachedResource]map[string]apiObject
	// pending are the watch events that are not delivered yet.
	pending map[cachedResource][]watchEvent
	// foreign are objects that the controller must not touch.
	foreign map[types.UID]bool

	kube *kubefake.Clientset
	flux *fluxfake.Clientset

	// faults apply to the next requests.
	faults []fault
	// before runs once, before the request with its number.
	before map[int]func()
	calls  int
	writes int
	// reviews check each write of the controller that the server accepts.
	reviews []func(verb string, resource cachedResource, before, after apiObject)
	// trace records what happened, for the message of a failure.
	trace []string
}

type watchEvent struct {
	version     int64
	old, object apiObject // nil: added, deleted
}

type fault struct {
	after bool
	err   error
}

func newWorld(t testing.TB) *world {
	w := &world{
		TB: t, version: 1000, objects: map[cachedResource]map[string]apiObject{}, pending: map[cachedResource][]watchEvent{},
		foreign: map[types.UID]bool{}, before: map[int]func(){}, kube: &kubefake.Clientset{}, flux: &fluxfake.Clientset{},
	}
	for _, r := range []cachedResource{miniclusters, jobs, configmaps, services, secrets, podObjects, persistentVolumes, persistentVolumeClaims} {
		w.objects[r] = map[string]apiObject{}
	}
	w.kube.AddReactor("*", "*", w.react)
	w.flux.AddReactor("*", "*", w.react)
	return w
}

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// violated fails the test because of a violated rule.
func (w *world) violated(format string, args ...any) {
	w.Helper()
	w.Fatalf("%s\n\nwhat happened:\n  %s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n  "))
}

// react answers a request of the controller.
func (w *world) react(action clienttesting.Action) (bool, runtime.Object, error) {
	w.calls++
	if hook := w.before[w.calls]; hook != nil {
		delete(w.before, w.calls)
		hook()
	}
	var f fault
	if len(w.faults) > 0 {
		f, w.faults = w.faults[0], w.faults[1:]
	}
	what := fmt.Sprintf("controller: %s %s/%s", action.GetVerb(), action.GetResource().Resource, action.GetSubresource())
	if patch, ok := action.(clienttesting.PatchAction); ok {
		what += " " + patch.GetName() + " " + string(patch.GetPatch())
	}
	if f.err != nil && !f.after {
		w.logf("%s: %v (not done)", what, f.err)
		return true, nil, f.err
	}
	obj, err := w.serve(action)
	if err == nil && f.err != nil {
		w.logf("%s: %v (done)", what, f.err)
		return true, nil, f.err
	}
	w.logf("%s: %v", what, err)
	return true, obj, err
}

func (w *world) serve(action clienttesting.Action) (runtime.Object, error) {
	r := cachedResource(action.GetResource().Resource)
	switch a := action.(type) {
	case clienttesting.CreateActionImpl:
		if len(a.CreateOptions.DryRun) > 0 {
			return a.GetObject(), nil
		}
		return w.review("create", r, nil, func() (apiObject, error) { return w.create(r, a.GetObject().(apiObject)) })
	case clienttesting.UpdateActionImpl:
		obj := a.GetObject().(apiObject)
		return w.review("update", r, w.objects[r][obj.GetName()], func() (apiObject, error) { return w.updateStatus(r, obj) })
	case clienttesting.PatchActionImpl:
		return w.review("patch", r, w.objects[r][a.GetName()], func() (apiObject, error) { return w.patch(r, a.GetName(), a.GetPatchType(), a.GetPatch()) })
	case clienttesting.DeleteActionImpl:
		_, err := w.review("delete", r, w.objects[r][a.GetName()], func() (apiObject, error) {
			obj, err := w.get(r, a.GetName())
			if err != nil {
				return nil, err
			}
			if p := a.GetDeleteOptions().Preconditions; p != nil && p.UID != nil && *p.UID != obj.GetUID() {
				return nil, conflict(r, a.GetName())
			}
			w.requestDeletion(r, a.GetName())
			return obj, nil
		})
		return nil, err
	case clienttesting.GetActionImpl:
		return w.get(r, a.GetName())
	case clienttesting.ListActionImpl:
		if r == miniclusters {
			return w.listMiniClusters(a.GetListRestrictions().Fields), nil
		}
		if r == persistentVolumes {
			list := &corev1.PersistentVolumeList{}
			for _, pv := range w.all(persistentVolumes) {
				if selects(a.GetListRestrictions().Labels, pv) {
					list.Items = append(list.Items, *pv.(*corev1.PersistentVolume).DeepCopy())
				}
			}
			return list, nil
		}
		list := &corev1.PodList{}
		for _, pod := range w.all(podObjects) {
			if selects(a.GetListRestrictions().Labels, pod) {
				list.Items = append(list.Items, *pod.(*corev1.Pod).DeepCopy())
			}
		}
		return list, nil
	}
	w.violated("an unexpected request: %#v", action)
	return nil, nil
}

func (w *world) listMiniClusters(named fields.Selector) *v1alpha2.MiniClusterList {
	list := &v1alpha2.MiniClusterList{}
	for _, o := range w.all(miniclusters) {
		if named.Matches(fields.Set{"metadata.name": o.GetName()}) {
			list.Items = append(list.Items, *o.(*v1alpha2.MiniCluster).DeepCopy())
		}
	}
	return list
}

func selects(s labels.Selector, o apiObject) bool {
	return s == nil || s.Matches(labels.Set(o.GetLabels()))
}

// review counts a write and calls the reviewers if it was accepted.
func (w *world) review(verb string, r cachedResource, before apiObject, write func() (apiObject, error)) (runtime.Object, error) {
	w.writes++
	if before != nil {
		before = before.DeepCopyObject().(apiObject)
	}
	after, err := write()
	if err != nil {
		return nil, err
	}
	for _, look := range w.reviews {
		look(verb, r, before, after)
	}
	return after.DeepCopyObject(), nil
}

func gr(r cachedResource) schema.GroupResource { return schema.GroupResource{Resource: string(r)} }

func conflict(r cachedResource, name string) error {
	return apierrors.NewConflict(gr(r), name, fmt.Errorf("the object has been modified"))
}

func invalidUpdate(r cachedResource, name, message string) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: string(r)}, name, field.ErrorList{field.Forbidden(field.NewPath("spec"), message)})
}

func (w *world) get(r cachedResource, name string) (apiObject, error) {
	obj := w.objects[r][name]
	if obj == nil {
		return nil, apierrors.NewNotFound(gr(r), name)
	}
	return obj.DeepCopyObject().(apiObject), nil
}

// all returns the objects of a resource in the order of their names.
func (w *world) all(r cachedResource) []apiObject {
	var out []apiObject
	for _, name := range slices.Sorted(maps.Keys(w.objects[r])) {
		out = append(out, w.objects[r][name])
	}
	return out
}

func (w *world) create(r cachedResource, obj apiObject) (apiObject, error) {
	obj = obj.DeepCopyObject().(apiObject)
	if w.objects[r][obj.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(gr(r), obj.GetName())
	}
	w.uids++
	// The first eight characters, which become a part of names, differ.
	obj.SetUID(types.UID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", w.uids)))
	switch o := obj.(type) {
	case *v1alpha2.MiniCluster:
		o.Generation = 1
		v1alpha2.SetDefaults(o)
	case *batchv1.Job:
		o.Generation = 1
	}
	w.store(r, nil, obj)
	return obj, nil
}

// store stores an object with a new version and notifies the watches. A nil object deletes the old one.
func (w *world) store(r cachedResource, old, obj apiObject) {
	w.version++
	if obj != nil {
		obj.SetResourceVersion(strconv.FormatInt(w.version, 10))
		w.objects[r][obj.GetName()] = obj
	} else {
		delete(w.objects[r], old.GetName())
	}
	watches := []cachedResource{r}
	if r == podObjects {
		watches = append(watches, leads)
	}
	for _, r := range watches {
		e := watchEvent{version: w.version, old: w.watched(r, old), object: w.watched(r, obj)}
		if e.old != nil || e.object != nil {
			w.pending[r] = append(w.pending[r], e)
		}
	}
}

// watched returns a copy of an object if the informers select it, otherwise nil.
func (w *world) watched(r cachedResource, obj apiObject) apiObject {
	if pod, ok := obj.(*corev1.Pod); ok && r == leads {
		index, ok := resources.PodIndex(pod)
		if !ok || index != 0 || pod.Labels[v1alpha2.LabelHPASelector] == "" {
			return nil
		}
		kept, _ := leadOnly(pod.DeepCopy())
		return kept.(apiObject)
	}
	if obj == nil || r != miniclusters && obj.GetLabels()[v1alpha2.LabelController] != v1alpha2.ManagedBy {
		return nil
	}
	seen, err := trimMiniCluster(obj.DeepCopyObject())
	if err != nil {
		w.Fatal(err)
	}
	return seen.(apiObject)
}

func (w *world) remove(r cachedResource, name string) {
	if obj := w.objects[r][name]; obj != nil {
		w.store(r, obj, nil)
	}
}

// requestDeletion deletes an object, or marks it as terminating if its pod runs or it has finalizers.
func (w *world) requestDeletion(r cachedResource, name string) {
	obj := w.objects[r][name]
	if obj == nil {
		return
	}
	pod, ok := obj.(*corev1.Pod)
	runs := ok && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
	if !runs && len(obj.GetFinalizers()) == 0 {
		w.remove(r, name)
		return
	}
	edit(w, r, name, func(o apiObject) {
		if o.GetDeletionTimestamp() == nil {
			o.SetDeletionTimestamp(&metav1.Time{Time: time.Unix(1_000_000, 0)})
		}
	})
}

// edit changes an object as a user or another controller does.
func edit[T apiObject](w *world, r cachedResource, name string, change func(T)) {
	old := w.objects[r][name]
	if old == nil {
		return
	}
	obj := old.DeepCopyObject().(apiObject)
	change(obj.(T))
	w.replace(r, old, obj)
}

// replace stores a new state of an object, unless nothing changed.
func (w *world) replace(r cachedResource, old, obj apiObject) {
	if equality.Semantic.DeepEqual(old, obj) {
		return
	}
	switch o := obj.(type) {
	case *v1alpha2.MiniCluster:
		if !equality.Semantic.DeepEqual(old.(*v1alpha2.MiniCluster).Spec, o.Spec) {
			o.Generation++
		}
	case *batchv1.Job:
		if !equality.Semantic.DeepEqual(old.(*batchv1.Job).Spec, o.Spec) {
			o.Generation++
		}
	}
	w.store(r, old, obj)
}

func (w *world) updateStatus(r cachedResource, wanted apiObject) (apiObject, error) {
	old := w.objects[r][wanted.GetName()]
	switch {
	case old == nil:
		return nil, apierrors.NewNotFound(gr(r), wanted.GetName())
	case old.GetResourceVersion() != wanted.GetResourceVersion(), old.GetUID() != wanted.GetUID():
		return nil, conflict(r, wanted.GetName())
	}
	obj := old.DeepCopyObject().(*v1alpha2.MiniCluster)
	obj.Status = *wanted.(*v1alpha2.MiniCluster).Status.DeepCopy()
	w.replace(r, old, obj)
	return w.objects[r][obj.Name], nil
}

func (w *world) patch(r cachedResource, name string, kind types.PatchType, patch []byte) (apiObject, error) {
	old := w.objects[r][name]
	if old == nil {
		return nil, apierrors.NewNotFound(gr(r), name)
	}
	var wanted metav1.PartialObjectMetadata
	if err := json.Unmarshal(patch, &wanted); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if v := wanted.ResourceVersion; v != "" && v != old.GetResourceVersion() {
		return nil, conflict(r, name)
	}
	if wanted.UID != "" && wanted.UID != old.GetUID() {
		return nil, conflict(r, name)
	}
	text, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	if kind == types.StrategicMergePatchType {
		text, err = strategicpatch.StrategicMergePatch(text, patch, old)
	} else {
		text, err = mergePatch(text, patch)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	obj := emptyOf(old)
	if err := json.Unmarshal(text, obj); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if message := forbiddenChange(old, obj); message != "" {
		return nil, invalidUpdate(r, name, message)
	}
	if obj.GetDeletionTimestamp() != nil && len(obj.GetFinalizers()) == 0 {
		w.remove(r, name)
		return obj, nil
	}
	w.replace(r, old, obj)
	return w.objects[r][name], nil
}

func emptyOf(o apiObject) apiObject {
	switch o.(type) {
	case *v1alpha2.MiniCluster:
		return &v1alpha2.MiniCluster{}
	case *batchv1.Job:
		return &batchv1.Job{}
	case *corev1.ConfigMap:
		return &corev1.ConfigMap{}
	case *corev1.Secret:
		return &corev1.Secret{}
	case *corev1.Pod:
		return &corev1.Pod{}
	default:
		return &corev1.Service{}
	}
}

// forbiddenChange returns an error for changes of a Job that Kubernetes rejects.
func forbiddenChange(old, obj apiObject) string {
	was, ok := old.(*batchv1.Job)
	if !ok {
		return ""
	}
	is := obj.(*batchv1.Job)
	if !equality.Semantic.DeepEqual(was.Spec.Template, is.Spec.Template) {
		return "the template is immutable"
	}
	if resources.Completions(was) != resources.Completions(is) && resources.Completions(is) != resources.Parallelism(is) {
		return "completions may change only together with parallelism"
	}
	return ""
}

// mergePatch implements RFC 7386.
func mergePatch(text, patch []byte) ([]byte, error) {
	var target, changes any
	if err := json.Unmarshal(text, &target); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	return json.Marshal(merged(target, changes))
}

func merged(target, changes any) any {
	patch, ok := changes.(map[string]any)
	if !ok {
		return changes
	}
	out, ok := target.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for key, value := range patch {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = merged(out[key], value)
		}
	}
	return out
}

// deliver delivers at most n events to an informer.
func (w *world) deliver(r cachedResource, n int, store cache.Store, handler cache.ResourceEventHandler) {
	events := w.pending[r]
	n = min(n, len(events))
	w.pending[r] = events[n:]
	for _, e := range events[:n] {
		switch {
		case e.object == nil:
			_ = store.Delete(e.old)
		case e.old == nil:
			_ = store.Add(e.object)
		default:
			_ = store.Update(e.object)
		}
		store.Bookmark(strconv.FormatInt(e.version, 10))
		switch {
		case e.object == nil:
			handler.OnDelete(e.old)
		case e.old == nil:
			handler.OnAdd(e.object, false)
		default:
			handler.OnUpdate(e.old, e.object)
		}
	}
}

// relist replaces the content of an informer with a list, as after a start or a broken watch.
func (w *world) relist(r cachedResource, store cache.Store, handler cache.ResourceEventHandler) {
	w.pending[r] = nil
	before := map[string]apiObject{}
	for _, obj := range store.List() {
		before[obj.(apiObject).GetName()] = obj.(apiObject)
	}
	var now []any
	var tell []func()
	stored := r
	if r == leads {
		stored = podObjects
	}
	for _, o := range w.all(stored) {
		obj := w.watched(r, o)
		if obj == nil {
			continue
		}
		now = append(now, obj)
		if old := before[obj.GetName()]; old != nil {
			tell = append(tell, func() { handler.OnUpdate(old, obj) })
		} else {
			tell = append(tell, func() { handler.OnAdd(obj, true) })
		}
		delete(before, obj.GetName())
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		old := before[name]
		tell = append(tell, func() {
			handler.OnDelete(cache.DeletedFinalStateUnknown{Key: old.GetNamespace() + "/" + name, Obj: old})
		})
	}
	version := strconv.FormatInt(w.version, 10)
	_ = store.Replace(now, version)
	store.Bookmark(version)
	for _, f := range tell {
		f()
	}
}
