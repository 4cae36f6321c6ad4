package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gvschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/plugin/schema"
	"minicluster.internal/operator/pkg/validation"
)

// document is a MiniCluster that was read from a file.
type document struct {
	// where identifies the document: FILE, the number of the document and its name.
	where string
	// object is what the document says.
	object map[string]any
	// item is the number of the document in a list, from 1 on; 0 if it is not in one.
	item int
	// mc is the MiniCluster with the defaults of its API version.
	mc *v1alpha2.MiniCluster
	// problems are the errors of the document.
	problems []string
}

// documentReader reads MiniClusters from files and folders. It skips documents of other kinds, since a file may also
// contain objects that a MiniCluster needs. What cannot be read is reported like an error in a document, so that the
// other files are still read.
type documentReader struct {
	schema *schema.Schema
	stdin  io.Reader
	// namespace is that of documents that do not set one.
	namespace string
	// recursive includes the folders in folders.
	recursive bool
}

// documentExtensions are the names of files that are read in a folder, as by kubectl.
var documentExtensions = []string{".json", ".yaml", ".yml"}

// read reads the files and folders of a command line; "-" is the standard input.
func (r *documentReader) read(ctx context.Context, names []string) ([]document, error) {
	if len(names) == 0 {
		return nil, errors.New("name a file or a folder, or - for the standard input")
	}
	var all []document
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case name == "-":
			all = append(all, r.readDocuments(ctx, r.stdin, "standard input", false)...)
		case err == nil && info.IsDir():
			all = append(all, r.readFolder(ctx, name)...)
		default:
			all = append(all, r.readFile(ctx, name, false)...)
		}
	}
	return all, nil
}

func (r *documentReader) readFolder(ctx context.Context, folder string) []document {
	var all []document
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != folder && !r.recursive:
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(documentExtensions, filepath.Ext(path)):
			all = append(all, r.readFile(ctx, path, true)...)
		}
		return nil
	})
	if err != nil {
		all = append(all, document{where: folder, problems: []string{reasonOf(err)}})
	}
	return all
}

func (r *documentReader) readFile(ctx context.Context, name string, found bool) []document {
	file, err := os.Open(name)
	if err != nil {
		return []document{{where: name, problems: []string{reasonOf(err)}}}
	}
	defer file.Close()
	return r.readDocuments(ctx, file, name, found)
}

// reasonOf returns the error of a file without its name.
func reasonOf(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return cause.Error()
	}
	return err.Error()
}

// readDocuments reads the documents of a stream. A file that was found in a folder may be anything, such as a template:
// a text in it that is no YAML counts only if it mentions a MiniCluster.
func (r *documentReader) readDocuments(ctx context.Context, in io.Reader, where string, found bool) []document {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	var documents []document
	for number := 1; ; {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			return append(documents, document{where: fmt.Sprintf("%s: document %d", where, number), problems: []string{reasonOf(err)}})
		}
		for _, value := range splitJSON(text) {
			documents = append(documents, r.parse(ctx, value, fmt.Sprintf("%s: document %d", where, number), found)...)
			number++
		}
	}
}

// parse decodes the documents of a YAML text. A duplicate key is an error.
func (r *documentReader) parse(ctx context.Context, in part, where string, found bool) []document {
	data, err := yaml.YAMLToJSON(in.text)
	switch {
	case err == nil:
	case !found || bytes.Contains(in.text, []byte(v1alpha2.MiniClusterKind.Kind)):
		problem := shiftLines(err.Error(), in.before)
		if bytes.Contains(in.text, []byte("{{")) {
			problem += ": it may be a template: render it first, for example with helm template"
		}
		return []document{{where: where, problems: []string{problem}}}
	default:
		return nil
	}
	duplicates := duplicateKeys(in.text, in.before)
	documents := r.decode(ctx, data, where)
	for i := range documents {
		d := &documents[i]
		d.problems = append(d.problems, duplicates[0]...)
		if d.item > 0 {
			d.problems = append(d.problems, duplicates[d.item]...)
		}
	}
	return documents
}

// decode decodes a JSON document, which may be a list of several.
func (r *documentReader) decode(ctx context.Context, data []byte, where string) []document {
	var meta struct {
		metav1.TypeMeta
		Items []json.RawMessage `json:"items"`
	}
	if json.Unmarshal(data, &meta) != nil {
		return nil // no object of Kubernetes
	}
	if meta.Items != nil && meta.Kind != v1alpha2.MiniClusterKind.Kind {
		return r.decodeItems(ctx, meta.TypeMeta, meta.Items, where)
	}
	if misspelled(meta.TypeMeta) {
		return []document{{where: where, problems: []string{fmt.Sprintf("kind: %q does not exist: set kind to %s", meta.Kind, v1alpha2.MiniClusterKind.Kind)}}}
	}
	if meta.Kind != v1alpha2.MiniClusterKind.Kind {
		return nil
	}
	gv, err := gvschema.ParseGroupVersion(meta.APIVersion)
	if err != nil || gv.Group != v1alpha2.SchemeGroupVersion.Group {
		return []document{{where: where, problems: []string{fmt.Sprintf(
			"apiVersion %q: a MiniCluster has the apiVersion %s/v1alpha1 or %s", meta.APIVersion, v1alpha2.SchemeGroupVersion.Group, v1alpha2.SchemeGroupVersion)}}}
	}
	d := document{where: where}
	d.judge(ctx, r, data, gv.Version)
	return []document{d}
}

// decodeItems decodes the items of a list of any kind. Like kubectl, it gives those of a typed list without a kind the
// one of the list.
func (r *documentReader) decodeItems(ctx context.Context, list metav1.TypeMeta, items []json.RawMessage, where string) []document {
	var documents []document
	for i, item := range items {
		var meta metav1.TypeMeta
		kind := strings.TrimSuffix(list.Kind, "List")
		if json.Unmarshal(item, &meta) == nil && meta.Kind == "" && kind == v1alpha2.MiniClusterKind.Kind {
			item = withType(item, kind, list.APIVersion)
		}
		for _, d := range r.decode(ctx, item, fmt.Sprintf("%s, item %d", where, i+1)) {
			d.item = i + 1
			documents = append(documents, d)
		}
	}
	return documents
}

// withType returns a JSON object with a kind and an apiVersion.
func withType(object json.RawMessage, kind, apiVersion string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil || fields == nil {
		return object
	}
	fields["kind"], fields["apiVersion"] = json.RawMessage(strconv.Quote(kind)), json.RawMessage(strconv.Quote(apiVersion))
	out, err := json.Marshal(fields)
	if err != nil {
		return object
	}
	return out
}

// misspelled reports whether an object is meant to be a MiniCluster, and has another kind or none.
func misspelled(meta metav1.TypeMeta) bool {
	kind := v1alpha2.MiniClusterKind.Kind
	ours := strings.HasPrefix(meta.APIVersion, v1alpha2.SchemeGroupVersion.Group+"/")
	return meta.Kind != kind && ours && (meta.Kind == "" || strings.EqualFold(strings.TrimSuffix(meta.Kind, "s"), kind))
}

// judge says what the API server and then the controller would say.
func (d *document) judge(ctx context.Context, r *documentReader, data []byte, version string) {
	reject := func(problem string) { d.problems = append(d.problems, problem) }
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &d.object); err != nil {
		reject(err.Error())
		return
	}
	d.where += nameOf(d.object)
	if !r.schema.Serves(version) {
		reject(fmt.Sprintf("apiVersion: version %q does not exist: use v1alpha2, or v1alpha1 for documents of 2023", version))
		return
	}
	verdict := r.schema.Admit(ctx, d.object, version)
	for _, path := range verdict.Unknown {
		reject(explainUnknown(path))
	}
	for _, problem := range schemaProblems(verdict.Errors) {
		reject(problem)
	}
	if verdict.Malformed != nil {
		reject(verdict.Malformed.Error())
	}
	if len(verdict.Errors) > 0 || verdict.Malformed != nil {
		return
	}
	mc, err := decodeMiniCluster(d.object)
	if err != nil {
		reject(err.Error())
		return
	}
	if mc.Namespace == "" {
		mc.Namespace = r.namespace
	}
	d.mc = mc
	for _, err := range validation.ValidateMiniCluster(mc) {
		reject(err.Error())
	}
}

// schemaProblems returns the errors of the API server, some with a remedy. Those without a field only repeat others:
// that a value matches none of several alternatives, each of which has its own error. So do those of the scale
// subresource.
func schemaProblems(errs field.ErrorList) []string {
	named := slices.ContainsFunc(errs, hasField)
	var problems []string
	for _, err := range errs {
		switch text := err.Error(); {
		case !hasField(err) && strings.HasPrefix(err.Detail, "metadata.name "):
			// The schema of a CRD has no path for it.
			problems = append(problems, "metadata.name: "+err.Type.String()+": "+err.Detail)
		case named && !hasField(err):
		case quotesMissing.MatchString(text):
			problems = append(problems, text+": put it in quotes")
		case quotesTooMany.MatchString(text):
			problems = append(problems, text+": write it without quotes")
		default:
			problems = append(problems, text)
		}
	}
	return problems
}

// hasField reports whether an error names a field: the text of a missing path is "<nil>", and the scale subresource has
// paths such as ".spec.size".
func hasField(err *field.Error) bool {
	return err.Field != "" && err.Field != "<nil>" && !strings.HasPrefix(err.Field, ".")
}

// Errors of the API server about values that YAML understands in another way than the user.
var (
	quotesMissing = regexp.MustCompile(`must be of type (integer,)?string: "(integer|number|boolean)"$`)
	quotesTooMany = regexp.MustCompile(`must be of type (integer|boolean): "string"$`)
)

// nameOf returns the name of an object in parentheses.
func nameOf(object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	for _, key := range []string{"name", "generateName"} {
		if name, _ := meta[key].(string); name != "" {
			return " (" + name + ")"
		}
	}
	return ""
}

// decodeMiniCluster decodes an object with the defaults of the API server, and sets those of the controller.
func decodeMiniCluster(object map[string]any) (*v1alpha2.MiniCluster, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var mc v1alpha2.MiniCluster
	if err := json.Unmarshal(data, &mc); err != nil {
		return nil, err
	}
	v1alpha2.SetDefaults(&mc)
	return &mc, nil
}
