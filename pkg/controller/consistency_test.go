package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
)

type fakeStore struct{ version string }

func (s *fakeStore) LastStoreSyncResourceVersion() string { return s.version }

func TestFreshness(t *testing.T) {
	store := &fakeStore{version: "99"}
	elsewhere := &fakeStore{version: "1"}
	f := newFreshness(func(namespace string) map[cachedResource]versionedStore {
		if namespace != "ns" {
			return map[cachedResource]versionedStore{jobs: elsewhere}
		}
		return map[cachedResource]versionedStore{jobs: store, services: &fakeStore{version: "5000"}}
	})
	key, other := cache.NewObjectName("ns", "a"), cache.NewObjectName("ns", "b")
	require.NoError(t, f.check(key), "nothing written")

	f.wrote(key, jobs, "100")
	f.wrote(key, jobs, "98") // a write that returned late does not count back
	f.wrote(key, services, "4000")
	var stale *staleError
	require.ErrorAs(t, f.check(key), &stale)
	assert.Equal(t, "jobs", stale.what)
	require.NoError(t, f.check(other), "others are not held up")

	store.version = "100"
	require.NoError(t, f.check(key))
	assert.Empty(t, f.writes, "nothing is remembered once it was seen")

	f.wrote(cache.NewObjectName("elsewhere", "a"), jobs, "2")
	require.ErrorAs(t, f.check(cache.NewObjectName("elsewhere", "a")), &stale, "each namespace has its own cache")

	f.wrote(key, jobs, "7000")
	f.forget(key)
	require.NoError(t, f.check(key))

	f.wrote(key, jobs, "") // a fake API server has no versions
	require.NoError(t, f.check(key))
}
