package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/validation"
)

// document is a MiniCluster that was read from a file.
type document struct {
	// where identifies the document: FILE, the number of the document and its name.
	where string
	// mc is the MiniCluster with the defaults of its API version.
	mc *v1alpha2.MiniCluster
	// problems are the errors of the document.
	problems []string
}

// readFiles reads the MiniClusters in files; "-" is the standard input. It skips documents of other kinds, since a
// file may also contain objects that a MiniCluster needs. A file without a MiniCluster is an error. It is reported
// like an error in a document, so that the other files are still read.
func readFiles(names []string, stdin io.Reader, namespace string) ([]document, error) {
	if len(names) == 0 {
		return nil, errors.New("--filename: name a file, or - for the standard input")
	}
	var all []document
	for _, name := range names {
		all = append(all, readFile(name, stdin, namespace)...)
	}
	return all, nil
}

func readFile(name string, stdin io.Reader, namespace string) []document {
	in, where := stdin, "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return []document{{where: name, problems: []string{errors.Unwrap(err).Error()}}}
		}
		defer file.Close()
		in, where = file, name
	}
	documents := readDocuments(in, where, namespace)
	if len(documents) == 0 {
		return []document{{where: where, problems: []string{"contains no MiniCluster"}}}
	}
	return documents
}

func readDocuments(in io.Reader, where, namespace string) []document {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	var documents []document
	for number := 1; ; number++ {
		at := fmt.Sprintf("%s: document %d", where, number)
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			return append(documents, document{where: at, problems: []string{err.Error()}})
		}
		documents = append(documents, parse(text, at, namespace)...)
	}
}

// parse decodes the documents of a YAML text. A duplicate key is an error: kubectl and the API server silently use
// the last one.
func parse(text []byte, where, namespace string) []document {
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return []document{{where: where, problems: []string{err.Error()}}}
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	documents := decode(data, where, namespace)
	if _, err := yaml.YAMLToJSONStrict(text); err != nil {
		for i := range documents {
			documents[i].problems = append(documents[i].problems, strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	return documents
}

// decode decodes a JSON document, which may be a list of several.
func decode(data []byte, where, namespace string) []document {
	var meta struct {
		metav1.TypeMeta
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return []document{{where: where, problems: []string{"not a Kubernetes object: " + err.Error()}}}
	}
	if meta.Kind == "List" || meta.Kind == "MiniClusterList" {
		var documents []document
		for i, item := range meta.Items {
			documents = append(documents, decode(item, fmt.Sprintf("%s, item %d", where, i+1), namespace)...)
		}
		return documents
	}
	gv, err := schema.ParseGroupVersion(meta.APIVersion)
	switch {
	case meta.Kind != v1alpha2.MiniClusterKind.Kind:
		return nil
	case err != nil || gv.Group != v1alpha2.SchemeGroupVersion.Group:
		return []document{{where: where, problems: []string{fmt.Sprintf(
			"apiVersion %q: a MiniCluster has the apiVersion %s/v1alpha1 or %s", meta.APIVersion, v1alpha2.SchemeGroupVersion.Group, v1alpha2.SchemeGroupVersion)}}}
	}
	return []document{decodeMiniCluster(data, gv.Version, where, namespace)}
}

func decodeMiniCluster(data []byte, version, where, namespace string) document {
	var mc v1alpha2.MiniCluster
	data, wrong := settleDocument(data)
	strict, err := kjson.UnmarshalStrict(data, &mc)
	if name := mc.Name + mc.GenerateName; name != "" {
		where += " (" + name + ")"
	}
	d := document{where: where, mc: &mc, problems: wrong}
	if len(wrong) > 0 {
		return d
	}
	if err != nil {
		d.problems = append(d.problems, err.Error())
		return d
	}
	for _, err := range strict {
		d.problems = append(d.problems, explainUnknown(err.Error()))
	}
	switch version {
	case v1alpha2.SchemeGroupVersion.Version:
	case "v1alpha1":
		defaultInstallRoot(data, &mc)
	default:
		d.problems = append(d.problems, fmt.Sprintf("apiVersion: version %q does not exist: use v1alpha2, or v1alpha1 for documents of 2023", version))
	}
	if mc.Namespace == "" {
		mc.Namespace = namespace
	}
	v1alpha2.SetDefaults(&mc)
	for _, err := range validation.ValidateMiniCluster(&mc) {
		d.problems = append(d.problems, err.Error())
	}
	return d
}

// settleDocument removes null values and returns a problem for each value with a wrong type.
func settleDocument(data []byte) ([]byte, []string) {
	var object any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &object); err != nil {
		return data, []string{err.Error()}
	}
	wrong := settle(object, reflect.TypeFor[v1alpha2.MiniCluster](), "")
	settled, err := json.Marshal(object)
	if err != nil {
		return data, append(wrong, err.Error())
	}
	return settled, wrong
}

// defaultInstallRoot sets the only default that v1alpha1 has and v1alpha2 does not, if the document does not set the
// field.
func defaultInstallRoot(data []byte, mc *v1alpha2.MiniCluster) {
	var given struct {
		Spec struct {
			Flux struct {
				InstallRoot *string `json:"installRoot"`
			} `json:"flux"`
		} `json:"spec"`
	}
	if json.Unmarshal(data, &given) != nil || given.Spec.Flux.InstallRoot != nil {
		return
	}
	if mc.Spec.Flux == nil {
		mc.Spec.Flux = &v1alpha2.FluxSpec{}
	}
	mc.Spec.Flux.InstallRoot = v1alpha2.DefaultInstallRoot
}
