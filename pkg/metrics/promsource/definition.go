package promsource

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// object is what the values of a query describe.
type object string

const (
	pods         object = "pods"
	services     object = "services"
	miniClusters object = "miniclusters"
	// external values describe no object.
	external object = "external"
)

// objects are all of them, in the order of messages.
func objects() []object { return []object{pods, services, miniClusters, external} }

// resource is that of the metrics API; not for external.
func (o object) resource() schema.GroupResource {
	if o == miniClusters {
		return v1alpha2.Resource(string(miniClusters))
	}
	return schema.GroupResource{Resource: string(o)}
}

// kind is that of one object; not for external.
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

// definition is an entry of the ConfigMap.
type definition struct {
	// Query is PromQL.
	Query string `json:"query"`
	// Object is what its values describe.
	Object object `json:"object"`
	// Metric is the name of the metric: that of the entry, if unset.
	Metric string `json:"metric"`
	// NamespaceLabel is the label of the result that has the namespace of the object,
	// "namespace" if unset. For external values it is that of the autoscalers that may
	// have it, and if unset all may.
	NamespaceLabel string `json:"namespaceLabel"`
	// NameLabel is the label of the result that has the name of the object: "pod",
	// "service" or "minicluster" if unset.
	NameLabel string `json:"nameLabel"`
}

// decode reads an entry, strictly, and fills in what is unset. Of an entry that is wrong it
// returns what can be read.
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
		err = errors.New("must be one YAML document; there are several")
	case len(strict) > 0:
		err = errors.New(oneLine(errors.Join(strict...).Error()))
	default:
		err = d.complete()
	}
	return d, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// complete fills in what is unset, and tells what is wrong.
func (d *definition) complete() error {
	names := map[object]string{pods: "pod", services: "service", miniClusters: "minicluster", external: ""}
	label, known := names[d.Object]
	switch {
	case strings.TrimSpace(d.Query) == "":
		return errors.New("query: must be set, to PromQL")
	case !known:
		return fmt.Errorf("object: %q: must be one of %q", d.Object, objects())
	case d.Metric == "":
		return errors.New("metric: must not be empty")
	case len(content.IsPathSegmentName(d.Metric)) > 0:
		return fmt.Errorf("metric: %q: %s", d.Metric, content.IsPathSegmentName(d.Metric)[0])
	case d.Object == external && d.NameLabel != "":
		return errors.New("nameLabel: external metrics describe no object that has a name")
	}
	if d.NameLabel == "" {
		d.NameLabel = label
	}
	if d.NamespaceLabel == "" && d.Object != external {
		d.NamespaceLabel = "namespace"
	}
	for field, label := range map[string]string{"namespaceLabel": d.NamespaceLabel, "nameLabel": d.NameLabel} {
		if label != "" && !model.LegacyValidation.IsValidLabelName(label) {
			return fmt.Errorf("%s: %q is no name of a label", field, label)
		}
	}
	if d.NameLabel != "" && d.NameLabel == d.NamespaceLabel {
		return fmt.Errorf("nameLabel: %q is the label of the namespace already", d.NameLabel)
	}
	return nil
}
