package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
)

type fakeStore struct{ version string }

func (s *fakeStore) LastStoreSyncResourceVersion() string { return s.version }

func TestConsistency(t *testing.T) {
	store := &fakeStore{version: "99"}
	elsewhere := &fakeStore{version: "1"}
	f := newConsistency(func(namespace string) map[cachedResource]versionedStore {
		if namespace != "ns" {
			return map[cachedResource]versionedStore{jobs: elsewhere}
		}
		return map[cachedResource]versionedStore{jobs: store, services: &fakeStore{version: "5000"}}
	})
	key, other := cache.NewObjectName("ns", "a"), cache.NewObjectName("ns", "b")
	require.NoError(t, f.EnsureReady(key), "nothing written")

	f.WroteAt(key, jobs, "100")
	f.WroteAt(key, jobs, "98") // a late answer does not lower the version
	f.WroteAt(key, services, "4000")
	require.EqualError(t, f.EnsureReady(key), "the cache of jobs is not up to date")
	require.NoError(t, f.EnsureReady(other), "others do not wait")

	store.version = "100"
	require.NoError(t, f.EnsureReady(key))
	assert.Empty(t, f.writes, "nothing is recorded once the cache has it")

	f.WroteAt(cache.NewObjectName("elsewhere", "a"), jobs, "2")
	require.Error(t, f.EnsureReady(cache.NewObjectName("elsewhere", "a")), "each namespace has its own cache")

	f.WroteAt(key, jobs, "7000")
	f.Clear(key)
	require.NoError(t, f.EnsureReady(key))

	f.WroteAt(key, jobs, "") // a fake API server has no versions
	require.NoError(t, f.EnsureReady(key))
}
