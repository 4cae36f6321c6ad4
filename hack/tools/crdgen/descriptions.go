package main

import (
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// isForeign reports whether the type of a field comes from Kubernetes.
func isForeign(field string) bool {
	switch field {
	case "resources", "securityContext", "tolerations", "conditions", "dnsConfig", "topologySpreadConstraints", "resourceClaims":
		return true
	}
	return false
}

// shortenDescriptions keeps the first sentence of the descriptions in types of
// Kubernetes, whose full text would fill half of the CRD: kubectl apply keeps a
// copy of it in an annotation, and the API server accepts 256 KiB of those.
func shortenDescriptions(schema *apiextensionsv1.JSONSchemaProps, foreign bool) {
	for name, property := range schema.Properties {
		if foreign {
			property.Description = firstSentence(property.Description)
		}
		shortenDescriptions(&property, foreign || isForeign(name))
		schema.Properties[name] = property
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		shortenElement(schema.Items.Schema, foreign)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		shortenElement(schema.AdditionalProperties.Schema, foreign)
	}
}

func shortenElement(schema *apiextensionsv1.JSONSchemaProps, foreign bool) {
	if foreign {
		schema.Description = firstSentence(schema.Description)
	}
	shortenDescriptions(schema, foreign)
}

func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	text = strings.Join(strings.Fields(text), " ")
	if sentence, _, found := strings.Cut(text, ". "); found {
		return sentence + "."
	}
	return text
}
