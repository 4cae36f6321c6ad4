// Command pytypes writes the Python dataclasses of a MiniCluster: it reads the CRD from standard input and writes a
// module to standard output.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// version is the version of the API that the module describes.
const version = "v1alpha2"

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pytypes:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading the CRD: %w", err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return fmt.Errorf("decoding the CRD: %w", err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == version
	})
	if i < 0 {
		return fmt.Errorf("the CRD has no version %s", version)
	}
	root := crd.Spec.Versions[i].Schema.OpenAPIV3Schema
	m := newModule()
	for _, part := range []string{"spec", "status"} {
		if _, err := m.class(part, root.Properties[part]); err != nil {
			return err
		}
	}
	return m.write(out, crd.Spec.Group+"/"+version)
}
