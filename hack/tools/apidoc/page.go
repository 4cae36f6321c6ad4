package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

type schema = apiextensionsv1.JSONSchemaProps

// page writes Markdown; after the first error it writes nothing.
type page struct {
	out io.Writer
	err error
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// section is the table of one part of the object. Defaults that only the old version has are marked with its name.
func (p *page) section(name string, root, old schema) {
	p.printf("\n## %s\n\n| field | type | default | meaning |\n|---|---|---|---|\n", name)
	p.fields(name, root.Properties[name], old.Properties[name])
}

func (p *page) fields(path string, parent, old schema) {
	for _, name := range slices.Sorted(maps.Keys(parent.Properties)) {
		field, oldField := parent.Properties[name], old.Properties[name]
		fieldPath := path + "." + name
		p.printf("| `%s` | %s | %s | %s |\n", fieldPath,
			cell(typeOf(field, slices.Contains(parent.Required, name))),
			cell(defaultOf(field, oldField)), cell(field.Description))
		switch {
		case isKubernetesType(fieldPath):
		case fieldPath == "spec.services":
			p.printf("| `%s[]` | | | as `spec.containers[]` |\n", fieldPath)
		case field.Items != nil:
			p.fields(fieldPath+"[]", *field.Items.Schema, *oldField.Items.Schema)
		case field.AdditionalProperties != nil:
			p.fields(fieldPath+".KEY", *field.AdditionalProperties.Schema, *oldField.AdditionalProperties.Schema)
		default:
			p.fields(fieldPath, field, oldField)
		}
	}
}

// rules lists the messages of all rules beyond types and ranges.
func (p *page) rules(root schema) {
	p.printf("\n## Rules\n\nThe API server rejects a document that violates one of these rules, with these messages.\n\n")
	p.printf("When a MiniCluster is created:\n\n")
	p.messages("", root, true)
	p.printf("\nWhenever it is written:\n\n")
	p.messages("", root, false)
}

func (p *page) messages(path string, field schema, onCreate bool) {
	for _, rule := range field.XValidations {
		if (rule.OptionalOldSelf != nil && *rule.OptionalOldSelf) != onCreate {
			continue
		}
		if path == "" {
			p.printf("- %s\n", rule.Message)
		} else {
			p.printf("- `%s`: %s\n", path, rule.Message)
		}
	}
	if field.Items != nil {
		p.messages(path+"[]", *field.Items.Schema, onCreate)
	}
	if field.AdditionalProperties != nil && field.AdditionalProperties.Schema != nil {
		p.messages(path+".KEY", *field.AdditionalProperties.Schema, onCreate)
	}
	for _, name := range slices.Sorted(maps.Keys(field.Properties)) {
		p.messages(strings.TrimPrefix(path+"."+name, "."), field.Properties[name], onCreate)
	}
}

// isKubernetesType reports whether the field's own documentation is sufficient, because its type belongs to
// Kubernetes.
func isKubernetesType(path string) bool {
	name := path[strings.LastIndex(path, ".")+1:]
	return slices.Contains([]string{"resources", "tolerations", "conditions"}, name) ||
		name == "securityContext" && !strings.HasPrefix(path, "spec.containers[]")
}

func typeOf(field schema, required bool) string {
	text := typeName(field)
	if field.Minimum != nil {
		text += fmt.Sprintf(", at least %v", *field.Minimum)
	}
	if field.Maximum != nil {
		text += fmt.Sprintf(", at most %v", *field.Maximum)
	}
	if field.MinItems != nil {
		text += fmt.Sprintf(", at least %d", *field.MinItems)
	}
	if field.MaxItems != nil {
		text += fmt.Sprintf(", at most %d", *field.MaxItems)
	}
	if field.MaxLength != nil {
		text += fmt.Sprintf(", at most %d characters", *field.MaxLength)
	}
	if len(field.Enum) > 0 {
		var values []string
		for _, value := range field.Enum {
			if text := strings.Trim(string(value.Raw), `"`); text != "" {
				values = append(values, "`"+text+"`")
			}
		}
		text += ": " + strings.Join(values, ", ")
	}
	if required {
		text += ", required"
	}
	return text
}

func typeName(field schema) string {
	switch {
	case field.XIntOrString:
		return "quantity"
	case field.Items != nil:
		return "list of " + typeName(*field.Items.Schema)
	case field.AdditionalProperties != nil:
		return "map of " + typeName(*field.AdditionalProperties.Schema)
	case field.Format == "date-time":
		return "time"
	default:
		return field.Type
	}
}

func defaultOf(field, old schema) string {
	if field.Default == nil && old.Default != nil {
		return fmt.Sprintf("v1alpha1: `%s`", old.Default.Raw)
	}
	if field.Default == nil {
		return ""
	}
	return fmt.Sprintf("`%s`", field.Default.Raw)
}

// cell makes text fit in one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
