// Command models-schema prints the OpenAPI definitions of pkg/generated/openapi
// as one OpenAPI v2 document, which applyconfiguration-gen reads to learn how
// server-side apply merges each field.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"minicluster.internal/operator/pkg/generated/openapi"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "models-schema:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	definitions := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef("#/definitions/" + name)
	})
	document := spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "MiniCluster", Version: "unversioned"}},
		Definitions: make(map[string]spec.Schema, len(definitions)),
	}}
	for name, definition := range definitions {
		document.Definitions[name] = asV2(definition.Schema)
	}
	data, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encoding the definitions: %w", err)
	}
	_, err = out.Write(data)
	return err
}

// asV2 prefers the OpenAPI v2 form that some types (IntOrString, Quantity) carry
// beside their v3 form.
func asV2(schema spec.Schema) spec.Schema {
	if v2, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
		return v2
	}
	return schema
}
