package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// recheckUnlabeled is how often a MiniCluster is synced while one of its objects lacks the
// label of this controller: no watch reports what happens to that object.
const recheckUnlabeled = 30 * time.Second

// restoreLabel adds the label of this controller to an object of the MiniCluster that
// lacks it, because an earlier release created it or something removed the label. Without
// the label the cache does not contain the object. It is added once: if it is removed
// again, or a policy does not let it through, then another client decides about it. The
// controller reports that, and works with the object that it read. metadata is patched
// with the label.
func restoreLabel[T metav1.Object](ctx context.Context, c *Controller, s *syncState, client patcher[T], r cachedResource,
	obj T, metadata map[string]any,
) (T, error) {
	if c.relabeled.first(s.key, obj.GetUID()) {
		metadata := maps.Clone(metadata)
		if metadata == nil {
			metadata = map[string]any{}
		}
		maps.Copy(metadata, resources.RelabelPatch(obj))
		patched, err := patch(ctx, c, s.key, client, r, obj.GetName(), types.MergePatchType, map[string]any{"metadata": metadata})
		if err != nil {
			c.relabeled.undo(s.key, obj.GetUID())
			return obj, err
		}
		klog.FromContext(ctx).Info("Added the label of this controller to an object", "kind", r.kind(), "object", obj.GetName())
		obj = patched
	}
	if !resources.HasManagedLabel(obj) {
		s.observed.Unlabeled = append(s.observed.Unlabeled, messages.Object(r.kind(), obj.GetName()))
		s.requeueAfter(recheckUnlabeled)
	}
	return obj, nil
}

// relabeled remembers the objects that got the label of this controller.
type relabeled struct {
	mu      sync.Mutex
	objects map[cache.ObjectName]sets.Set[types.UID]
}

// first reports whether an object has not been here before.
func (r *relabeled) first(key cache.ObjectName, uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.objects[key].Has(uid) {
		return false
	}
	if r.objects == nil {
		r.objects = map[cache.ObjectName]sets.Set[types.UID]{}
	}
	if r.objects[key] == nil {
		r.objects[key] = sets.New[types.UID]()
	}
	r.objects[key].Insert(uid)
	return true
}

// undo forgets an object.
func (r *relabeled) undo(key cache.ObjectName, uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[key].Delete(uid)
}

// forget forgets the objects of a MiniCluster.
func (r *relabeled) forget(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.objects, key)
}
