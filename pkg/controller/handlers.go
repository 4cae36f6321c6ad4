package controller

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// miniClusterHandler enqueues a MiniCluster when anything but its status changes, which only the controller writes.
func (c *Controller) miniClusterHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.wake(obj) },
		UpdateFunc: func(before, after any) {
			if changed(before, after) {
				c.wake(after)
			}
		},
		DeleteFunc: func(obj any) {
			if mc := object(obj); mc != nil {
				c.jobRecords.forgetOf(cache.MetaObjectToName(mc), mc.GetUID())
			}
			c.wake(obj)
		},
	}
}

// dependentHandler enqueues the MiniClusters that own an object.
func (c *Controller) dependentHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.wakeOwners(obj, 0) },
		UpdateFunc: func(before, after any) {
			if sameVersion(before, after) {
				return
			}
			if came, went, only := onlyOwnersDiffer(before, after); only {
				if left := len(after.(*corev1.Service).OwnerReferences); len(went.OwnerReferences) > 0 && left <= c.maxOwners/2 {
					c.wakeSharers(after.(*corev1.Service), c.maxOwners-left, 0)
				}
				before, after = went, came
			}
			// Removed owners have to restore their reference.
			c.wakeOwners(before, 0)
			c.wakeOwners(after, 0)
		},
		DeleteFunc: func(obj any) {
			// Most objects are deleted because their owner is, which another watch reports, in any order. A short delay avoids
			// a request that checks whether the owner still exists.
			c.wakeOwners(obj, staleRetry)
			c.wakeHeld(obj)
			if service, ok := object(obj).(*corev1.Service); ok {
				c.wakeSharers(service, math.MaxInt, staleRetry)
			}
		},
	}
}

func (c *Controller) wake(obj any) {
	if o := object(obj); o != nil {
		c.enqueue(cache.MetaObjectToName(o))
	}
}

// wakeOwners enqueues the MiniClusters that own an object, after a delay.
func (c *Controller) wakeOwners(obj any, after time.Duration) {
	o := object(obj)
	if o == nil {
		return
	}
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == v1alpha2.MiniClusterKind.Kind {
			c.enqueueAfter(cache.NewObjectName(o.GetNamespace(), owner.Name), after)
		}
	}
}

// wakeHeld enqueues the MiniClusters that wait for the name of an object, which is free now.
func (c *Controller) wakeHeld(obj any) {
	o := object(obj)
	if o == nil {
		return
	}
	mcs, err := c.cached(o.GetNamespace()).waiting.ByIndex(nameConflictIndex, o.GetNamespace())
	if err != nil {
		return // the index exists, and a conflict is retried anyway
	}
	for _, mc := range mcs {
		c.wake(mc)
	}
}

// nameConflictIndex is the index of MiniClusters that wait for a name, by namespace.
const nameConflictIndex = "nameConflict"

// nameConflictNamespace is the index function of nameConflictIndex.
func nameConflictNamespace(obj any) ([]string, error) {
	mc, ok := obj.(*v1alpha2.MiniCluster)
	if !ok {
		return nil, nil
	}
	progressing := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing)
	if progressing == nil || progressing.Reason != v1alpha2.ReasonNameConflict {
		return nil, nil
	}
	return []string{mc.Namespace}, nil
}

// onlyOwnersDiffer reports whether an update of a Service only adds or removes MiniClusters as owners. Other owners
// need no sync: if a thousand MiniClusters share a Service, each new one would otherwise cause a thousand syncs. (For
// a ConfigMap, the removal of one owner is relevant to the other.)
func onlyOwnersDiffer(before, after any) (came, went *corev1.Service, only bool) {
	b, isService := before.(*corev1.Service)
	a, isStill := after.(*corev1.Service)
	if !isService || !isStill {
		return nil, nil, false
	}
	was, is := *b, *a
	was.OwnerReferences, is.OwnerReferences, was.ResourceVersion = nil, nil, is.ResourceVersion
	if !equality.Semantic.DeepEqual(&was, &is) {
		return nil, nil, false
	}
	was.OwnerReferences, is.OwnerReferences = ownersWithout(b, a), ownersWithout(a, b)
	return &is, &was, true
}

// ownersWithout returns the owners of an object that another object does not have.
func ownersWithout(o, other metav1.Object) []metav1.OwnerReference {
	theirs := sets.New[types.UID]()
	for _, owner := range other.GetOwnerReferences() {
		theirs.Insert(owner.UID)
	}
	return slices.DeleteFunc(slices.Clone(o.GetOwnerReferences()), func(owner metav1.OwnerReference) bool { return theirs.Has(owner.UID) })
}

// object returns the metadata of the object of an event, even if its deletion was missed.
func object(obj any) metav1.Object {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	o, _ := obj.(metav1.Object)
	return o
}

// changed reports whether an update changes anything but the status.
func changed(before, after any) bool {
	b, a := object(before), object(after)
	if b == nil || a == nil {
		return true
	}
	return b.GetGeneration() != a.GetGeneration() ||
		b.GetUID() != a.GetUID() ||
		b.GetDeletionTimestamp().IsZero() != a.GetDeletionTimestamp().IsZero() ||
		annotationDiffers(b, a, v1alpha2.AnnotationRejectedSize)
}

func annotationDiffers(b, a metav1.Object, key string) bool {
	before, was := b.GetAnnotations()[key]
	after, is := a.GetAnnotations()[key]
	return was != is || before != after
}

// sameVersion reports whether an update is a resync, which changes nothing. Objects without a resource version (of a
// fake API server) always differ.
func sameVersion(before, after any) bool {
	b, a := object(before), object(after)
	return b != nil && a != nil && a.GetResourceVersion() != "" && b.GetResourceVersion() == a.GetResourceVersion()
}
