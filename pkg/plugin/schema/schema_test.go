package schema

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestAdmit checks verdicts without a cluster. TestLintAgrees of test/integration/api compares many with an API server.
func TestAdmit(t *testing.T) {
	s, err := New()
	require.NoError(t, err)
	assert.True(t, s.Serves("v1alpha1"))
	assert.False(t, s.Serves("v1"))
	for name, tc := range map[string]struct {
		text    string
		unknown []string
		fields  []string
	}{
		"valid":            {text: "metadata: {name: a}\nspec: {containers: [{}]}"},
		"generated name":   {text: "metadata: {generateName: a-}\nspec: {containers: [{}]}"},
		"unknown fields":   {text: "metadata: {name: a, x: b}\nspec: {containers: [{z: c}]}", unknown: []string{"metadata.x", "spec.containers[0].z"}},
		"missing field":    {text: "metadata: {name: a}\nspec: {}", fields: []string{"spec.containers", "<nil>"}},
		"rule":             {text: "metadata: {name: a}\nspec: {size: 3, maxSize: 2, containers: [{}]}", fields: []string{"spec.maxSize"}},
		"wrong type":       {text: "metadata: {name: a}\nspec: {interactive: maybe, containers: [{}]}", fields: []string{"spec.interactive", "<nil>"}},
		"metadata":         {text: "metadata: {name: a, labels: {a: b c}}\nspec: {containers: [{}]}", fields: []string{"metadata.labels"}},
		"status is no use": {text: "metadata: {name: a}\nspec: {containers: [{}]}\nstatus: {size: -1}"},
	} {
		t.Run(name, func(t *testing.T) {
			var object map[string]any
			require.NoError(t, yaml.Unmarshal([]byte("apiVersion: flux-framework.org/v1alpha1\nkind: MiniCluster\n"+tc.text), &object))
			u := unstructured.Unstructured{Object: object}
			data, err := u.MarshalJSON()
			require.NoError(t, err)
			require.NoError(t, u.UnmarshalJSON(data)) // whole numbers, as decoders return them
			verdict := s.Admit(t.Context(), u.Object, "v1alpha1")
			require.NoError(t, verdict.Malformed)
			assert.Equal(t, tc.unknown, verdict.Unknown)
			var fields []string
			for _, err := range verdict.Errors {
				fields = append(fields, err.Field)
			}
			assert.ElementsMatch(t, tc.fields, fields)
			root, _, _ := unstructured.NestedString(u.Object, "spec", "flux", "installRoot")
			assert.Equal(t, "/usr", root, "the default of v1alpha1")
		})
	}
	assert.Error(t, s.Admit(t.Context(), map[string]any{}, "v9").Malformed)
}

// TestFields checks that fields of lists and maps are found.
func TestFields(t *testing.T) {
	fields, err := Fields("v1alpha2")
	require.NoError(t, err)
	for _, path := range []string{"spec.size", "spec.containers", "spec.containers[].image", "spec.volumes[].path"} {
		assert.True(t, fields[path], path)
	}
	_, err = Fields("v9")
	require.Error(t, err)
}
