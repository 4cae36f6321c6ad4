package promsource

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// object is the type of object that the values of a query describe.
type object string

const (
	pods         object = "pods"
	services     object = "services"
	miniClusters object = "miniclusters"
	// external marks values that describe no object.
	external object = "external"
)

// objects returns all types, in the order in which messages list them.
func objects() []object { return []object{pods, services, miniClusters, external} }

// resource returns the resource in the metrics API; not defined for external.
func (o object) resource() schema.GroupResource {
	if o == miniClusters {
		return v1alpha2.Resource(string(miniClusters))
	}
	return schema.GroupResource{Resource: string(o)}
}

// kind returns the kind of an object; not defined for external.
func (o object) kind() schema.GroupVersionKind {
	switch o {
	case pods:
		return schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	case services:
		return schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	default:
		return v1alpha2.MiniClusterKind
	}
}

// definition is the value of an entry in the ConfigMap.
type definition struct {
	// Query in PromQL.
	Query string `json:"query"`
	// Object is the type of object that the values describe.
	Object object `json:"object"`
	// Metric is the name of the metric. It defaults to the name of the entry.
	Metric string `json:"metric"`
	// NamespaceLabel is the label with the namespace of the object. It defaults to "namespace". For
	// external metrics it restricts a series to autoscalers in that namespace, and has no default.
	NamespaceLabel string `json:"namespaceLabel"`
	// NameLabel is the label with the name of the object. It defaults to "pod", "service" or
	// "minicluster".
	NameLabel string `json:"nameLabel"`
	// Empty is the value of an object without a series. If unset, it is an error.
	Empty *float64 `json:"empty"`
	// Warnings is what to do with a result that has warnings: reject (the default) or accept.
	Warnings string `json:"warnings"`
}

// Values of definition.Warnings.
const (
	warningsReject = "reject"
	warningsAccept = "accept"
)

// decode parses an entry strictly and sets defaults. Of an invalid entry it returns the valid fields.
func decode(name, text string) (definition, error) {
	d := definition{Metric: name}
	var strict []error
	document, err := yaml.YAMLToJSONStrict([]byte(text))
	if err == nil {
		strict, err = json.UnmarshalStrict(document, &d)
	}
	switch {
	case err != nil:
		return definition{Metric: name}, fmt.Errorf("must be a YAML document with the fields query and object: %s", oneLine(err.Error()))
	case strings.Contains(text, "\n---"), strings.Contains(text, "\n..."):
		err = errors.New("must be a single YAML document")
	case len(strict) > 0:
		err = errors.New(oneLine(errors.Join(strict...).Error()))
	default:
		err = d.complete()
	}
	return d, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// complete sets defaults and returns an error if the definition is invalid.
func (d *definition) complete() error {
	names := map[object]string{pods: "pod", services: "service", miniClusters: "minicluster", external: ""}
	label, known := names[d.Object]
	switch {
	case strings.TrimSpace(d.Query) == "":
		return errors.New("query: must be set to a PromQL expression")
	case !known:
		return fmt.Errorf("object: %q: must be one of %q", d.Object, objects())
	case d.Metric == "":
		return errors.New("metric: must not be empty")
	case len(content.IsPathSegmentName(d.Metric)) > 0:
		return fmt.Errorf("metric: %q: %s", d.Metric, content.IsPathSegmentName(d.Metric)[0])
	case d.Empty != nil && math.Abs(*d.Empty) > metrics.MaxValue:
		return fmt.Errorf("empty: %g: must be at most %g", *d.Empty, float64(metrics.MaxValue))
	case d.Warnings != "" && d.Warnings != warningsReject && d.Warnings != warningsAccept:
		return fmt.Errorf("warnings: %q: must be %s or %s", d.Warnings, warningsReject, warningsAccept)
	case d.Object == external && d.NameLabel != "":
		return errors.New("nameLabel: must not be set for external metrics, which describe no object")
	}
	if d.NameLabel == "" {
		d.NameLabel = label
	}
	if d.NamespaceLabel == "" && d.Object != external {
		d.NamespaceLabel = "namespace"
	}
	for field, label := range map[string]string{"namespaceLabel": d.NamespaceLabel, "nameLabel": d.NameLabel} {
		if label != "" && !model.LegacyValidation.IsValidLabelName(label) {
			return fmt.Errorf("%s: %q: must be a valid label name", field, label)
		}
	}
	if d.NameLabel != "" && d.NameLabel == d.NamespaceLabel {
		return fmt.Errorf("nameLabel: %q: must differ from namespaceLabel", d.NameLabel)
	}
	return nil
}
