// Package schema decides whether the API server accepts a MiniCluster, without a cluster: it applies the schema and the
// rules of the CustomResourceDefinition with the API server's own code. Verdicts that need the controller belong to
// pkg/validation.
package schema

import (
	"context"
	"fmt"
	"math"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	openapi "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/manifests/crd"
)

// Schema is the schema of MiniClusters in all served versions.
type Schema struct {
	versions map[string]*version
}

// version is the schema of one version of the API.
type version struct {
	structural *structuralschema.Structural
	values     openapi.SchemaValidator
	rules      *cel.Validator
	// replicas is the path of the size for the scale subresource, such as ".spec.size".
	replicas string
}

// New returns the schema of the CustomResourceDefinition that belongs to this program.
func New() (*Schema, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd.MiniClusters, &definition); err != nil {
		return nil, fmt.Errorf("decoding the CustomResourceDefinition: %w", err)
	}
	s := &Schema{versions: map[string]*version{}}
	for i := range definition.Spec.Versions {
		v := &definition.Spec.Versions[i]
		if !v.Served {
			continue
		}
		compiled, err := compile(v.Schema.OpenAPIV3Schema)
		if err != nil {
			return nil, fmt.Errorf("version %s of the CustomResourceDefinition: %w", v.Name, err)
		}
		if v.Subresources != nil && v.Subresources.Scale != nil {
			compiled.replicas = v.Subresources.Scale.SpecReplicasPath
		}
		s.versions[v.Name] = compiled
	}
	return s, nil
}

func compile(props *apiextensionsv1.JSONSchemaProps) (*version, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	values, _, err := openapi.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	return &version{structural: structural, values: values, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Serves reports whether MiniClusters have a version.
func (s *Schema) Serves(version string) bool { return s.versions[version] != nil }

// Verdict is what the API server says about a MiniCluster.
type Verdict struct {
	// Unknown are the paths of fields that do not exist. The API server drops them, or rejects the object with strict
	// field validation, which is the default of kubectl.
	Unknown []string
	// Errors are the reasons for which the API server rejects the object.
	Errors field.ErrorList
	// Malformed is the reason for which the API server cannot decode the object. It has no field.
	Malformed error
}

// Admit changes a decoded MiniCluster as the API server does when it is created: it removes unknown fields and null
// values, and sets defaults. It returns the verdict on the result. The object must have a version that the schema
// serves.
func (s *Schema) Admit(ctx context.Context, object map[string]any, version string) Verdict {
	v := s.versions[version]
	if v == nil {
		return Verdict{Malformed: fmt.Errorf("version %q is not served", version)}
	}
	kind, apiVersion := object["kind"], object["apiVersion"]
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return Verdict{Malformed: err}
	}
	unknown = append(unknown, pruning.PruneWithOptions(object, v.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, v.structural)
	// Pruning removes what every object has and no schema describes.
	object["kind"], object["apiVersion"] = kind, apiVersion
	if found {
		if err := objectmeta.SetObjectMeta(object, meta); err != nil {
			return Verdict{Malformed: err}
		}
	}
	defaulting.Default(object, v.structural)
	return Verdict{Unknown: unknown, Errors: v.validate(ctx, object, meta)}
}

// validate returns the errors of a new object. The API server removes the status of new objects.
func (v *version) validate(ctx context.Context, object map[string]any, meta *metav1.ObjectMeta) field.ErrorList {
	if status, found := object["status"]; found {
		delete(object, "status")
		defer func() { object["status"] = status }()
	}
	errs := validateMeta(meta)
	if fields, _ := object["metadata"].(map[string]any); fields != nil && fields["name"] == nil && fields["generateName"] != nil {
		fields["name"] = generatedName(meta)
		defer delete(fields, "name")
	}
	errs = append(errs, openapi.ValidateCustomResource(nil, object, v.values)...)
	if err := v.validateReplicas(object); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, object)...)
	// Rules need values of the right types and lengths.
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid"))
		}
	}
	broken, _ := v.rules.Validate(ctx, nil, v.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// validateReplicas validates the size as the scale subresource does: the path of its error begins with a dot.
func (v *version) validateReplicas(object map[string]any) *field.Error {
	if v.replicas == "" {
		return nil
	}
	size, _, err := unstructured.NestedInt64(object, strings.Split(strings.TrimPrefix(v.replicas, "."), ".")...)
	path := field.NewPath(v.replicas)
	switch {
	case err != nil:
		return field.Invalid(path, size, err.Error())
	case size < 0:
		return field.Invalid(path, size, "should be a non-negative integer")
	case size > math.MaxInt32:
		return field.Invalid(path, size, fmt.Sprintf("should be less than or equal to %d", math.MaxInt32))
	}
	return nil
}

// generatedName returns a name as the API server makes it.
func generatedName(meta *metav1.ObjectMeta) string { return meta.GenerateName + "xxxxx" }

// validateMeta validates the metadata. A document for kubectl create may leave the name to the API server, and needs
// no namespace.
func validateMeta(meta *metav1.ObjectMeta) field.ErrorList {
	if meta == nil {
		meta = &metav1.ObjectMeta{}
	}
	complete := meta.DeepCopy()
	if complete.Namespace == "" {
		complete.Namespace = metav1.NamespaceDefault
	}
	if complete.Name == "" && complete.GenerateName != "" {
		complete.Name = generatedName(complete)
	}
	complete.ManagedFields = nil
	return metavalidation.ValidateObjectMeta(complete, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}
