package plugin

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/openapi"
)

// published is the OpenAPI document of a server.
type published map[string]any

func (p published) Paths() (map[string]openapi.GroupVersion, error) {
	return map[string]openapi.GroupVersion{"apis/flux-framework.org/v1alpha2": p}, nil
}

func (p published) Schema(string) ([]byte, error) {
	return json.Marshal(map[string]any{"components": map[string]any{"schemas": map[string]any{"org.flux-framework.v1alpha2.MiniCluster": p}}})
}

func (p published) ServerRelativeURL() string { return "" }

// An API that is older than the program is a problem.
func TestOlderAPI(t *testing.T) {
	object := func(properties ...string) map[string]any {
		fields := map[string]any{}
		for _, name := range properties {
			fields[name] = map[string]any{}
		}
		return map[string]any{"properties": fields}
	}
	missing, err := missingFields(published(map[string]any{"properties": map[string]any{"spec": object("size", "network")}}))
	require.NoError(t, err)
	assert.Contains(t, missing, "spec.suspend")
	assert.Contains(t, missing, "spec.network.headlessName", "a field of an object that exists")
	assert.NotContains(t, missing, "spec.size")
	assert.NotContains(t, strings.Join(missing, " "), "spec.hibernation.", "fields of a missing object are not named")
	assert.True(t, slices.IsSorted(missing))
	assert.Equal(t, "a, b", someOf([]string{"a", "b"}))
	assert.Equal(t, "a, b, c and 2 other fields", someOf(slices.Sorted(maps.Keys(map[string]bool{"a": true, "b": true, "c": true, "d": true, "e": true}))))
}
