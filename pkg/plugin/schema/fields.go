package schema

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/manifests/crd"
)

// Fields returns the paths of the fields of spec in a version of the CustomResourceDefinition that belongs to this
// program.
func Fields(version string) (map[string]bool, error) {
	var definition map[string]any
	if err := yaml.Unmarshal(crd.MiniClusters, &definition); err != nil {
		return nil, fmt.Errorf("decoding the CustomResourceDefinition: %w", err)
	}
	versions, _, err := unstructured.NestedSlice(definition, "spec", "versions")
	if err != nil {
		return nil, err
	}
	for _, item := range versions {
		v, _ := item.(map[string]any)
		if v["name"] != version {
			continue
		}
		object, _, err := unstructured.NestedMap(v, "schema", "openAPIV3Schema")
		if err != nil {
			return nil, err
		}
		return FieldsOf(object), nil
	}
	return nil, fmt.Errorf("version %q does not exist", version)
}

// FieldsOf returns the paths of the fields of spec in an OpenAPI schema of MiniClusters.
func FieldsOf(object map[string]any) map[string]bool {
	fields := map[string]bool{}
	properties, _ := object["properties"].(map[string]any)
	spec, _ := properties["spec"].(map[string]any)
	addFields(fields, spec, "spec")
	return fields
}

func addFields(fields map[string]bool, node map[string]any, path string) {
	properties, _ := node["properties"].(map[string]any)
	for name, property := range properties {
		fields[path+"."+name] = true
		if child, ok := property.(map[string]any); ok {
			addFields(fields, child, path+"."+name)
		}
	}
	if items, ok := node["items"].(map[string]any); ok {
		addFields(fields, items, path+"[]")
	}
	if values, ok := node["additionalProperties"].(map[string]any); ok {
		addFields(fields, values, path+"[]")
	}
}
