package controller

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// fieldManager is the field manager of this controller.
const fieldManager = v1alpha2.ManagedBy

// patcher is the part of a typed client with Patch.
type patcher[T metav1.Object] interface {
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (T, error)
}

// patch patches an object of a MiniCluster and records the new version for consistency. If the object does not exist,
// its cache is stale.
func patch[T metav1.Object](ctx context.Context, c *Controller, key cache.ObjectName, client patcher[T], r cachedResource,
	name string, kind types.PatchType, change map[string]any,
) (T, error) {
	var none T
	data, err := json.Marshal(change)
	if err != nil {
		return none, fmt.Errorf("encoding a patch of %s %q: %w", r.kind(), name, err)
	}
	obj, err := client.Patch(ctx, name, kind, data, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return none, stale(r)
	}
	if err != nil {
		return none, fmt.Errorf("patching %s %q: %w", r.kind(), name, err)
	}
	if r == miniclusters || r.cached() && resources.HasManagedLabel(obj) { // the cache contains no others
		c.consistency.WroteAt(key, r, obj.GetResourceVersion())
	}
	return obj, nil
}

// creator is the part of a typed client with Create, Get and Patch.
type creator[T metav1.Object] interface {
	patcher[T]
	Create(ctx context.Context, obj T, opts metav1.CreateOptions) (T, error)
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
}

// ownership says how to treat an object that already exists.
type ownership[T metav1.Object] struct {
	// owned reports whether the object belongs to the MiniCluster; nil checks its controller.
	owned func(T) bool
	// conflict returns the error about an object that does not belong to the MiniCluster; nil accepts it.
	conflict func(T) error
	// labelLost returns an object of the MiniCluster that lacks the label by which the cache selects objects, with the
	// label if that is possible. If it is nil, the cache is stale.
	labelLost func(T) (T, error)
}

// createOwned creates an object of a MiniCluster. If the object already exists, it returns that object, or an error
// if it cannot be used. created reports whether the object is new. It returns an error of the creation with context.
func createOwned[T metav1.Object](ctx context.Context, c *Controller, s *syncState, client creator[T], r cachedResource,
	wanted T, own ownership[T],
) (obj T, created bool, err error) {
	var none T
	obj, err = client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	if err == nil {
		if r.cached() {
			c.consistency.WroteAt(s.key, r, obj.GetResourceVersion())
		}
		return obj, true, nil
	}
	name := wanted.GetName()
	if !apierrors.IsAlreadyExists(err) {
		return none, false, fmt.Errorf("creating %s %q: %w", r.kind(), name, err)
	}
	obj, err = client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return none, false, fmt.Errorf("getting %s %q, which already exists: %w", r.kind(), name, err)
	}
	if own.owned == nil && resources.IsOrphan(s.mc, obj) {
		if obj, err = adoptOrphan(ctx, c, s, client, r, obj, nil); err != nil {
			return none, false, err
		}
	}
	err = own.check(s.mc, r, obj)
	if err == nil && r.cached() && own.labelLost != nil && !resources.HasManagedLabel(obj) && own.belongs(s.mc, obj) {
		obj, err = own.labelLost(obj)
		if err == nil && resources.HasManagedLabel(obj) {
			err = stale(r)
		}
	}
	return obj, false, err
}

// check returns an error if an existing object cannot be used.
func (own ownership[T]) check(mc *v1alpha2.MiniCluster, r cachedResource, obj T) error {
	owned := own.belongs(mc, obj)
	switch {
	case !owned && own.conflict != nil:
		return own.conflict(obj)
	case !owned:
		return foreign(r.kind(), obj)
	case !r.cached() && obj.GetDeletionTimestamp() != nil:
		return waitFor(messages.WaitForDeletion(r.kind(), obj.GetName()))
	case !r.cached():
		return nil
	case resources.HasManagedLabel(obj) || own.labelLost == nil:
		return stale(r)
	default:
		return nil
	}
}

// belongs reports whether an object is one of a MiniCluster.
func (own ownership[T]) belongs(mc *v1alpha2.MiniCluster, obj T) bool {
	if own.owned != nil {
		return own.owned(obj)
	}
	return metav1.IsControlledBy(obj, mc)
}

// foreign returns the conflict with an object that has a name of the MiniCluster.
func foreign(kind string, obj metav1.Object) error {
	return nameConflict(kind, obj.GetName(), resources.DescribeController(obj), "")
}
