package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/openapi"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/plugin/schema"
)

// checkAPI checks that the server serves the API, with all fields of this version.
func (s *session) checkAPI() finding {
	const check = "API"
	gv := v1alpha2.SchemeGroupVersion.String()
	_, err := s.kube.Discovery().ServerResourcesForGroupVersion(gv)
	switch {
	case apierrors.IsNotFound(err):
		return problem(check, "the server does not have %s: install the operator", gv)
	case err != nil:
		return unknown(check, err)
	case s.openAPI == nil:
		return good(check, "%s is served", gv)
	}
	missing, err := missingFields(s.openAPI)
	switch {
	case err != nil:
		return unknown(check, fmt.Errorf("the fields of %s: %w", gv, err))
	case len(missing) > 0:
		return problem(check, "%s is older than this program and lacks %s: apply the CustomResourceDefinition of its version",
			gv, someOf(missing))
	}
	return good(check, "%s is served with all fields of this version", gv)
}

// someOf names the first of some fields.
func someOf(fields []string) string {
	const most = 3
	if len(fields) <= most {
		return strings.Join(fields, ", ")
	}
	return fmt.Sprintf("%s and %d other fields", strings.Join(fields[:most], ", "), len(fields)-most)
}

// missingFields returns the fields of MiniClusters that this program has and the server does not, sorted, without those
// in missing ones.
func missingFields(client openapi.Client) ([]string, error) {
	served, err := servedFields(client)
	if err != nil {
		return nil, err
	}
	known, err := schema.Fields(v1alpha2.SchemeGroupVersion.Version)
	if err != nil {
		return nil, err
	}
	var missing []string
	for path := range known {
		parent := path[:strings.LastIndex(path, ".")]
		if !served[path] && (parent == "spec" || served[strings.TrimRight(parent, "[]")]) {
			missing = append(missing, path)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// servedFields returns the fields of MiniClusters in the OpenAPI document of the server, which every user may read.
func servedFields(client openapi.Client) (map[string]bool, error) {
	paths, err := client.Paths()
	if err != nil {
		return nil, err
	}
	path, ok := paths["apis/"+v1alpha2.SchemeGroupVersion.String()]
	if !ok {
		return nil, errors.New("the server does not publish them")
	}
	text, err := path.Schema("application/json")
	if err != nil {
		return nil, err
	}
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	for name, object := range document.Components.Schemas {
		if strings.HasSuffix(name, "."+v1alpha2.MiniClusterKind.Kind) {
			return schema.FieldsOf(object), nil
		}
	}
	return nil, errors.New("the server does not publish them")
}
