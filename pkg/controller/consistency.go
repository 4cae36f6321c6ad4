package controller

import (
	"strconv"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// cachedResource names a kind of object that the controller both caches and writes.
type cachedResource string

const (
	miniclusters cachedResource = "miniclusters"
	jobs         cachedResource = "jobs"
	configmaps   cachedResource = "configmaps"
	services     cachedResource = "services"
	pods         cachedResource = "pods"
)

// freshness makes syncs read their own writes. After a write, the next sync of
// the same MiniCluster waits until the cache of that resource has seen the
// resource version that the write returned: a cache that is behind would have us
// create twice, shrink twice or report an old size.
type freshness struct {
	// stores are the caches of a namespace.
	stores func(namespace string) map[cachedResource]versionedStore

	mu     sync.Mutex
	writes map[cache.ObjectName]map[cachedResource]string
	begun  map[cache.ObjectName]types.UID
}

// versionedStore is the part of an informer's store that freshness asks: the
// latest resource version that reached it, of any object.
type versionedStore interface {
	LastStoreSyncResourceVersion() string
}

func newFreshness(stores func(namespace string) map[cachedResource]versionedStore) *freshness {
	return &freshness{
		stores: stores,
		writes: map[cache.ObjectName]map[cachedResource]string{}, begun: map[cache.ObjectName]types.UID{},
	}
}

// wrote records the resource version that a write for a MiniCluster returned.
func (f *freshness) wrote(key cache.ObjectName, r cachedResource, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.writes[key]
	if of == nil {
		of = map[cachedResource]string{}
		f.writes[key] = of
	}
	if order, err := resourceversion.CompareResourceVersion(version, of[r]); err != nil || order > 0 {
		of[r] = version
	}
}

// check returns a staleError while a cache has not seen the last write for a
// MiniCluster.
func (f *freshness) check(key cache.ObjectName) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r, written := range f.writes[key] {
		order, err := resourceversion.CompareResourceVersion(f.stores(key.Namespace)[r].LastStoreSyncResourceVersion(), written)
		if err == nil && order < 0 {
			return &staleError{what: string(r)}
		}
		delete(f.writes[key], r)
	}
	delete(f.writes, key)
	return nil
}

// expects tells whether there are writes for a MiniCluster that no check has found
// in the caches.
func (f *freshness) expects(key cache.ObjectName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes[key]) > 0
}

// forget drops what is recorded of a MiniCluster that is gone.
func (f *freshness) forget(key cache.ObjectName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.writes, key)
	delete(f.begun, key)
}

// begin records that we begin to make objects for a MiniCluster.
func (f *freshness) begin(key cache.ObjectName, uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun[key] = uid
}

// hasBegun tells whether we have begun before to make objects for a MiniCluster.
func (f *freshness) hasBegun(key cache.ObjectName, uid types.UID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun[key] == uid
}

// outdated tells whether a Job got its size from a later MiniCluster than the one
// that the cache holds: the controller that worked before us was ahead of our cache,
// and its writes are unknown to freshness.
func outdated(mc *v1alpha2.MiniCluster, job *batchv1.Job) bool {
	if job == nil {
		return false
	}
	generation, err := strconv.ParseInt(job.Annotations[v1alpha2.AnnotationAppliedGeneration], 10, 64)
	return err == nil && generation > mc.Generation
}
