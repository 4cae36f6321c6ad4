package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// miniClusterHandler wakes a MiniCluster when it changes in anything but its
// status, which only we write.
func (c *Controller) miniClusterHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.wake(obj) },
		UpdateFunc: func(before, after any) {
			if changed(before, after) {
				c.wake(after)
			}
		},
		DeleteFunc: func(obj any) { c.wake(obj) },
	}
}

// dependentHandler wakes the MiniClusters that own an object.
func (c *Controller) dependentHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.wakeOwners(obj) },
		UpdateFunc: func(before, after any) {
			if sameVersion(before, after) {
				return
			}
			// Owners that were taken away have to put themselves back.
			c.wakeOwners(before)
			c.wakeOwners(after)
		},
		DeleteFunc: func(obj any) {
			c.wakeOwners(obj)
			c.wakeHeld(obj)
		},
	}
}

func (c *Controller) wake(obj any) {
	if o := object(obj); o != nil {
		c.queue.Add(cache.MetaObjectToName(o))
	}
}

func (c *Controller) wakeOwners(obj any) {
	o := object(obj)
	if o == nil {
		return
	}
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == v1alpha2.MiniClusterKind.Kind {
			c.queue.Add(cache.NewObjectName(o.GetNamespace(), owner.Name))
		}
	}
}

// wakeHeld wakes the MiniClusters that wait for a name to become free, when that of an
// object has.
func (c *Controller) wakeHeld(obj any) {
	o := object(obj)
	if o == nil {
		return
	}
	mcs, err := c.cached(o.GetNamespace()).miniclusters.MiniClusters(o.GetNamespace()).List(labels.Everything())
	if err != nil {
		return // a cache doesn't fail; whoever waits is tried again anyway
	}
	for _, mc := range mcs {
		progressing := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing)
		if progressing != nil && progressing.Reason == v1alpha2.ReasonNameHeld {
			c.queue.Add(cache.MetaObjectToName(mc))
		}
	}
}

// object returns the metadata of an object of an event, also of one whose deletion
// was missed.
func object(obj any) metav1.Object {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	o, _ := obj.(metav1.Object)
	return o
}

// changed tells whether an update is more than a change of the status.
func changed(before, after any) bool {
	b, a := object(before), object(after)
	if b == nil || a == nil {
		return true
	}
	return b.GetGeneration() != a.GetGeneration() ||
		b.GetUID() != a.GetUID() ||
		b.GetDeletionTimestamp().IsZero() != a.GetDeletionTimestamp().IsZero() ||
		b.GetAnnotations()[v1alpha2.AnnotationDeniedSize] != a.GetAnnotations()[v1alpha2.AnnotationDeniedSize]
}

// sameVersion tells whether an update is none: a resync. Objects without a
// resource version (of a fake API server) always differ.
func sameVersion(before, after any) bool {
	b, a := object(before), object(after)
	return b != nil && a != nil && a.GetResourceVersion() != "" && b.GetResourceVersion() == a.GetResourceVersion()
}
