package controller

import (
	"maps"
	"strconv"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// cachedResource is a resource that the controller writes.
type cachedResource string

const (
	miniclusters cachedResource = "miniclusters"
	jobs         cachedResource = "jobs"
	configmaps   cachedResource = "configmaps"
	services     cachedResource = "services"
	pods         cachedResource = "pods"
	// The following are not cached.
	secrets                cachedResource = "secrets"
	persistentVolumes      cachedResource = "persistentvolumes"
	persistentVolumeClaims cachedResource = "persistentvolumeclaims"
	autoscalers            cachedResource = "horizontalpodautoscalers"
)

// cached reports whether informers cache the objects.
func (r cachedResource) cached() bool {
	return r != secrets && r != persistentVolumes && r != persistentVolumeClaims && r != autoscalers
}

// kind returns the kind of the objects, for messages.
func (r cachedResource) kind() string {
	return map[cachedResource]string{
		miniclusters: "MiniCluster", jobs: "Job", configmaps: "ConfigMap", services: "Service", pods: "Pod",
		secrets: "Secret", persistentVolumes: "PersistentVolume", persistentVolumeClaims: "PersistentVolumeClaim",
		autoscalers: "HorizontalPodAutoscaler",
	}[r]
}

// consistency makes syncs read their own writes. After a write, the next sync of the same MiniCluster waits until the
// cache of that resource has seen the resource version that the write returned: with a stale cache, the controller
// would create or shrink twice, or report an old size. The wait is bounded; see staleTimeout.
type consistency struct {
	// stores are the caches of a namespace.
	stores func(namespace string) map[cachedResource]versionedStore

	mu      sync.Mutex
	writes  map[cache.ObjectName]map[cachedResource]string
	started map[cache.ObjectName]types.UID
	// waiting is since when the syncs of a MiniCluster end because a cache is behind.
	waiting map[cache.ObjectName]time.Time
}

// versionedStore is the part of an informer's store that consistency needs: the latest resource version of any object
// in it.
type versionedStore interface {
	LastStoreSyncResourceVersion() string
}

func newConsistency(stores func(namespace string) map[cachedResource]versionedStore) *consistency {
	return &consistency{
		stores: stores,
		writes: map[cache.ObjectName]map[cachedResource]string{}, started: map[cache.ObjectName]types.UID{},
		waiting: map[cache.ObjectName]time.Time{},
	}
}

// WroteAt records the resource version that a write for a MiniCluster returned.
func (c *consistency) WroteAt(key cache.ObjectName, r cachedResource, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.writes[key]
	if of == nil {
		of = map[cachedResource]string{}
		c.writes[key] = of
	}
	if order, err := resourceversion.CompareResourceVersion(version, of[r]); err != nil || order > 0 {
		of[r] = version
	}
}

// EnsureReady returns an error while a cache has not seen the last write for a MiniCluster.
func (c *consistency) EnsureReady(key cache.ObjectName) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r, written := range c.writes[key] {
		order, err := resourceversion.CompareResourceVersion(c.stores(key.Namespace)[r].LastStoreSyncResourceVersion(), written)
		if err == nil && order < 0 {
			return stale(r)
		}
		delete(c.writes[key], r)
	}
	delete(c.writes, key)
	return nil
}

// Pending reports whether there are writes for a MiniCluster that no EnsureReady has found
// in the caches.
func (c *consistency) Pending(key cache.ObjectName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.writes[key]) > 0
}

// Ended records how a sync of a MiniCluster ended. A failed one does not end a wait.
func (c *consistency) Ended(key cache.ObjectName, o outcome, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case o == outcomeFailed:
	case o != outcomeStale:
		delete(c.waiting, key)
	case c.waiting[key].IsZero():
		c.waiting[key] = now
	}
}

// WaitedFor returns for how long all syncs of a MiniCluster have ended because a cache is
// behind.
func (c *consistency) WaitedFor(key cache.ObjectName, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[key].IsZero() {
		return 0
	}
	return now.Sub(c.waiting[key])
}

// Writes returns the versions that are recorded for a MiniCluster.
func (c *consistency) Writes(key cache.ObjectName) map[cachedResource]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.writes[key])
}

// Accept drops versions that were recorded for a MiniCluster before its objects were read
// from the API server, which may have been restored and never show them.
func (c *consistency) Accept(key cache.ObjectName, writes map[cachedResource]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.writes[key], func(r cachedResource, version string) bool { return writes[r] == version })
}

// Clear drops the records of a MiniCluster.
func (c *consistency) Clear(key cache.ObjectName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.writes, key)
	delete(c.started, key)
	delete(c.waiting, key)
}

// markStarted records that the controller starts to create objects for a MiniCluster.
func (c *consistency) markStarted(key cache.ObjectName, uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started[key] = uid
}

// hasStarted reports whether this process has started to create objects for a MiniCluster.
func (c *consistency) hasStarted(key cache.ObjectName, uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started[key] == uid
}

// jobAhead reports whether a Job got its size from a later generation of the MiniCluster than the cached one. In this
// case the previous leader saw newer objects than this cache has, and its writes are not recorded here.
func jobAhead(mc *v1alpha2.MiniCluster, job *batchv1.Job) bool {
	if job == nil {
		return false
	}
	generation, err := strconv.ParseInt(job.Annotations[v1alpha2.AnnotationAppliedGeneration], 10, 64)
	return err == nil && generation > mc.Generation
}
