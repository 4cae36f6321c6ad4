package v1alpha2_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// maxAnnotations is the limit of the API server for the annotations of one object; kubectl apply stores the whole
// object in one.
const maxAnnotations = 256 << 10

func crdFile() string {
	return filepath.FromSlash("../../../../manifests/crd/flux-framework.org_miniclusters.yaml")
}

// property is the part of a CRD's schema that these tests use.
type property struct {
	Type                 string              `json:"type"`
	IntOrString          bool                `json:"x-kubernetes-int-or-string"`
	Default              any                 `json:"default"`
	Required             []string            `json:"required"`
	Properties           map[string]property `json:"properties"`
	Items                *property           `json:"items"`
	AdditionalProperties *property           `json:"additionalProperties"`
}

// schemas returns the schemas of the CRD, by version.
func schemas(t *testing.T) map[string]property {
	t.Helper()
	data, err := os.ReadFile(crdFile())
	require.NoError(t, err)
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string `json:"name"`
				Schema struct {
					OpenAPIV3Schema property `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(data, &crd))
	found := map[string]property{}
	for _, version := range crd.Spec.Versions {
		found[version.Name] = version.Schema.OpenAPIV3Schema
	}
	return found
}

// find follows a path like spec.containers[].volumes.KEY.path; the second result
// reports whether its parent requires the field.
func (p property) find(path string) (property, bool, error) {
	required := false
	for part := range strings.SplitSeq(path, ".") {
		name, isList := strings.CutSuffix(part, "[]")
		if name == "KEY" {
			if p.AdditionalProperties == nil {
				return p, false, fmt.Errorf("%s is not a map", path)
			}
			p = *p.AdditionalProperties
			continue
		}
		child, ok := p.Properties[name]
		if !ok {
			return p, false, fmt.Errorf("field %s of %s does not exist", name, path)
		}
		required = slices.Contains(p.Required, name)
		p = child
		if isList {
			p = *p.Items
		}
	}
	return p, required, nil
}

func (p property) typeName() string {
	switch {
	case p.IntOrString:
		return "intOrString"
	case p.Items != nil && p.Items.Type != "":
		return "[]" + p.Items.Type
	case p.AdditionalProperties != nil:
		element := p.AdditionalProperties.typeName()
		if strings.HasPrefix(element, "[]") {
			element = "array"
		}
		return "map[string]" + element
	}
	return p.Type
}

// TestSchemaHasEveryField compares the CRD with the fields that documents for
// flux-operator may have.
func TestSchemaHasEveryField(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "fields.tsv"))
	require.NoError(t, err)
	for version, root := range schemas(t) {
		for line := range strings.Lines(string(data)) {
			columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if strings.HasPrefix(line, "#") {
				continue
			}
			require.Len(t, columns, 4)
			path, wantDefault := columns[0], columns[2]
			if strings.Contains(path, "[]") || slices.Contains(defaultsInCode(), path) {
				wantDefault = "-" // SetDefaults sets it
			}
			if onlyIn, value, ok := strings.Cut(wantDefault, ":/"); ok {
				wantDefault = "-"
				if onlyIn == version {
					wantDefault = "/" + value
				}
			}
			t.Run(version+"/"+path, func(t *testing.T) {
				field, required, err := root.find(path)
				require.NoError(t, err)
				assert.Equal(t, columns[1], field.typeName(), "type")
				gotDefault := "-"
				if field.Default != nil && path != "spec.flux" {
					gotDefault = fmt.Sprint(field.Default)
				}
				if number, ok := field.Default.(float64); ok {
					gotDefault = fmt.Sprint(int64(number))
				}
				assert.Equal(t, wantDefault, gotDefault, "default")
				assert.Equal(t, columns[3] == "required", required, "required")
			})
		}
	}
}

// defaultsInCode returns the fields outside of lists whose default depends on other fields, so that it cannot be in
// the schema: the size on minSize, the namespace of the Secret on that of the MiniCluster.
func defaultsInCode() []string {
	return []string{"spec.size", "spec.volumes.KEY.secretNamespace"}
}

// TestNoDefaultBelowList checks that lists have no defaults: clients that compute a three-way merge (kubectl apply,
// Argo CD, Flux CD) compare lists as a whole. A default in an element of a list would be a difference on every apply.
func TestNoDefaultBelowList(t *testing.T) {
	for version, root := range schemas(t) {
		walked := 0
		var walk func(p property, path string, belowList bool)
		walk = func(p property, path string, belowList bool) {
			walked++
			if belowList {
				assert.Nil(t, p.Default, "%s of %s", path, version)
			}
			for name, child := range p.Properties {
				walk(child, path+"."+name, belowList)
			}
			if p.Items != nil {
				walk(*p.Items, path+"[]", true)
			}
			if p.AdditionalProperties != nil {
				walk(*p.AdditionalProperties, path+".KEY", belowList)
			}
		}
		walk(root, "", false)
		assert.Greater(t, walked, 400, version)
	}
}

func TestServicesAreContainers(t *testing.T) {
	for version, root := range schemas(t) {
		containers, _, err := root.find("spec.containers[]")
		require.NoError(t, err)
		services, _, err := root.find("spec.services[]")
		require.NoError(t, err)
		assert.Equal(t, containers, services, version)
	}
}

// TestVersionsDifferByOneDefault checks that the versions of the CRD need no conversion.
func TestVersionsDifferByOneDefault(t *testing.T) {
	data, err := os.ReadFile(crdFile())
	require.NoError(t, err)
	var crd map[string]any
	require.NoError(t, yaml.Unmarshal(data, &crd))
	strategy, _, err := unstructured.NestedString(crd, "spec", "conversion", "strategy")
	require.NoError(t, err)
	assert.Equal(t, "None", strategy)

	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	require.NoError(t, err)
	require.Len(t, versions, 2)
	v1alpha1, v1alpha2 := versions[0].(map[string]any), versions[1].(map[string]any)
	flux := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties", "flux"}
	for _, change := range []struct {
		old    any
		at     []string
		wanted any
	}{
		{"v1alpha1", []string{"name"}, "v1alpha2"},
		{false, []string{"storage"}, true},
		{map[string]any{}, append(slices.Clone(flux), "default"), nil},
		{"/usr", append(slices.Clone(flux), "properties", "installRoot", "default"), nil},
	} {
		got, _, err := unstructured.NestedFieldNoCopy(v1alpha1, change.at...)
		require.NoError(t, err)
		assert.Equal(t, change.old, got, "%v", change.at)
		unstructured.RemoveNestedField(v1alpha1, change.at...)
		if change.wanted != nil {
			require.NoError(t, unstructured.SetNestedField(v1alpha1, change.wanted, change.at...))
		}
	}
	assert.Equal(t, v1alpha2, v1alpha1)
}

// TestCRDFitsIntoAnAnnotation: kubectl apply stores the CRD as JSON. An eighth is left for future fields, and the YAML
// fits too, for tools that store that.
func TestCRDFitsIntoAnAnnotation(t *testing.T) {
	asYAML, err := os.ReadFile(crdFile())
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(asYAML)
	require.NoError(t, err)
	t.Logf("the CRD has %d bytes as YAML and %d as JSON, of %d", len(asYAML), len(asJSON), maxAnnotations)
	assert.Less(t, len(asYAML), maxAnnotations)
	assert.Less(t, len(asJSON), maxAnnotations*7/8)
}

// everyParent is a document with every object that has defaults.
const everyParent = `
spec:
  containers:
  - commands: {}
    fluxUser: {}
    volumes: {a: {}}
    existingVolumes: {a: {}}
  services:
  - commands: {}
    fluxUser: {}
    volumes: {a: {}}
    existingVolumes: {a: {}}
  flux:
    container: {}
    scheduler: {}
    bursting: {leadBroker: {name: a, address: b, size: 1}, clusters: [{}]}
  logging: {}
  pod: {}
  network: {}
  archive: {}
  scaleDown: {}
  volumes: {a: {path: /a}}
  users: [{name: a}]
  fluxRestful: {}
`

func applyDefaults(value any, schema property) {
	switch value := value.(type) {
	case map[string]any:
		for name, property := range schema.Properties {
			if _, ok := value[name]; !ok && property.Default != nil {
				value[name] = property.Default
			}
			applyDefaults(value[name], property)
		}
		for name := range value {
			if schema.AdditionalProperties != nil {
				applyDefaults(value[name], *schema.AdditionalProperties)
			}
		}
	case []any:
		for i := range value {
			applyDefaults(value[i], *schema.Items)
		}
	}
}

// TestSetDefaults checks that objects that no API server has stored get the defaults of the schema, and those that
// the schema cannot have.
func TestSetDefaults(t *testing.T) {
	for _, document := range []string{everyParent, "spec: {containers: [{}]}"} {
		var object map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		applyDefaults(object, schemas(t)["v1alpha2"])
		var want, got v1alpha2.MiniCluster
		require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(roundTrip(t, object), &want))
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &got))
		got.Namespace, want.Namespace = "team", "team"
		v1alpha2.SetDefaults(&got)
		want.Spec.Size = new(int32(1))
		want.Status.ObservedGeneration = 0 // of objects that the API server stores
		for _, containers := range [][]v1alpha2.MiniClusterContainer{want.Spec.Containers, want.Spec.Services} {
			for i := range containers {
				containers[i].Image = v1alpha2.DefaultImage
				if containers[i].FluxUser != nil {
					containers[i].FluxUser = &v1alpha2.FluxUser{Name: v1alpha2.DefaultFluxUser, UID: new(v1alpha2.DefaultFluxUID)}
				}
			}
		}
		for name, volume := range want.Spec.Volumes {
			volume.SecretNamespace = "team"
			want.Spec.Volumes[name] = volume
		}
		assert.Equal(t, want, got)

		again := *got.DeepCopy()
		v1alpha2.SetDefaults(&again)
		assert.Equal(t, got, again, "setting defaults twice changes nothing")
	}
}

// roundTrip converts the decoder's floating-point numbers to integers.
func roundTrip(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	var out unstructured.Unstructured
	object["apiVersion"], object["kind"] = v1alpha2.SchemeGroupVersion.String(), v1alpha2.MiniClusterKind.Kind
	data, err := json.Marshal(object)
	require.NoError(t, err)
	require.NoError(t, out.UnmarshalJSON(data))
	delete(out.Object, "apiVersion")
	delete(out.Object, "kind")
	return out.Object
}

func TestStatusSizeIsAlwaysWritten(t *testing.T) {
	data, err := json.Marshal(v1alpha2.MiniCluster{Status: v1alpha2.MiniClusterStatus{Selector: "a=b"}})
	require.NoError(t, err)
	assert.Contains(t, string(data), `"status":{"size":0,`)
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name                                   string
		size                                   *int32
		minSize, requested, minimum, defaulted int32
	}{
		{name: "nothing", requested: 1, minimum: 1, defaulted: 1},
		{name: "minSize alone", minSize: 3, requested: 3, minimum: 3, defaulted: 3},
		{name: "size alone", size: new(int32(4)), requested: 4, minimum: 1, defaulted: 4},
		{name: "both", size: new(int32(4)), minSize: 3, requested: 4, minimum: 3, defaulted: 4},
		{name: "a size of 0", size: new(int32(0)), minSize: 3, requested: 0, minimum: 3, defaulted: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mc := v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Size: c.size, MinSize: c.minSize}}
			assert.Equal(t, c.requested, mc.RequestedSize())
			assert.Equal(t, c.minimum, mc.MinimumSize())
			v1alpha2.SetDefaults(&mc)
			assert.Equal(t, c.defaulted, *mc.Spec.Size)
		})
	}
}

func TestGranted(t *testing.T) {
	for _, c := range []struct {
		minSize, maximum int32
		size, want       int64
	}{
		{minSize: 0, maximum: 0, size: 0, want: 1},
		{minSize: 3, maximum: 0, size: 2, want: 3},
		{minSize: 3, maximum: 0, size: 1 << 40, want: 1 << 40},
		{minSize: 0, maximum: 8, size: -5, want: 1},
		{minSize: 3, maximum: 8, size: 2, want: 3},
		{minSize: 3, maximum: 8, size: 5, want: 5},
		{minSize: 3, maximum: 8, size: 9, want: 8},
		{minSize: 9, maximum: 8, size: 0, want: 1}, // invalid, has no effect
	} {
		mc := v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{MinSize: c.minSize}, Status: v1alpha2.MiniClusterStatus{MaximumSize: c.maximum}}
		assert.Equal(t, c.want, mc.Granted(c.size), "%+v", c)
	}
}

func TestFluxContainerIndex(t *testing.T) {
	container := func(runFlux bool) v1alpha2.MiniClusterContainer {
		return v1alpha2.MiniClusterContainer{RunFlux: runFlux}
	}
	for _, c := range []struct {
		name       string
		containers []v1alpha2.MiniClusterContainer
		want       int
	}{
		{"none", nil, -1},
		{"the only one", []v1alpha2.MiniClusterContainer{container(false)}, 0},
		{"the marked one", []v1alpha2.MiniClusterContainer{container(false), container(true)}, 1},
		{"no container is marked", []v1alpha2.MiniClusterContainer{container(false), container(false)}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mc := v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Containers: c.containers}}
			assert.Equal(t, c.want, mc.FluxContainerIndex())
		})
	}
}

func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha2.AddToScheme(scheme))
	assert.True(t, scheme.Recognizes(v1alpha2.MiniClusterKind))
	assert.Equal(t, "miniclusters.flux-framework.org", v1alpha2.Resource("miniclusters").String())
}
