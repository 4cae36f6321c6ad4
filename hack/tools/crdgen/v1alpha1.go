package main

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// deriveV1alpha1 returns v1alpha2 with one other default: documents of v1alpha1 have Flux installed in the user's
// image. Both versions must have the same fields, because there is no conversion.
func deriveV1alpha1(v1alpha2 apiextensionsv1.CustomResourceDefinitionVersion) (apiextensionsv1.CustomResourceDefinitionVersion, error) {
	v1alpha1 := *v1alpha2.DeepCopy()
	v1alpha1.Name = "v1alpha1"
	v1alpha1.Storage = false

	root := v1alpha1.Schema.OpenAPIV3Schema
	// A default applies only if the parent exists, so flux needs one too.
	if err := setDefault(root, "{}", "spec", "flux"); err != nil {
		return v1alpha1, err
	}
	if err := setDefault(root, `"/usr"`, "spec", "flux", "installRoot"); err != nil {
		return v1alpha1, err
	}
	return v1alpha1, nil
}

func setDefault(schema *apiextensionsv1.JSONSchemaProps, value string, path ...string) error {
	name := path[0]
	property, ok := schema.Properties[name]
	if !ok {
		return fmt.Errorf("the schema has no property %q", name)
	}
	if len(path) > 1 {
		if err := setDefault(&property, value, path[1:]...); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else {
		if property.Default != nil {
			return fmt.Errorf("%s: v1alpha2 has another default, %s", name, property.Default.Raw)
		}
		property.Default = &apiextensionsv1.JSON{Raw: []byte(value)}
	}
	schema.Properties[name] = property
	return nil
}
