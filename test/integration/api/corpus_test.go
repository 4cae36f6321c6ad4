package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/validation"
)

// TestCorpus applies documents of users of flux-operator. A document applies if each of its fields is in at least one
// of the schemas that flux-operator had; the others are rejected, and the error names the unknown field.
//
// The documents are not part of the repository; a clone without them skips the test.
func TestCorpus(t *testing.T) {
	t.Parallel()
	dir, rows := corpus(t)
	known := knownFields(t)
	for _, row := range rows {
		columns := strings.Split(row, "\t")
		version, file, verdict := columns[0], columns[1], columns[3]
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			applyDocument(t, version, filepath.Join(dir, version, file), refusedFields(verdict, known))
		})
	}
}

// corpus returns the folder with the documents and the rows of its index.
func corpus(t *testing.T) (string, []string) {
	t.Helper()
	dir := os.Getenv("MINICLUSTER_CORPUS")
	if dir == "" {
		dir = manifest(t, "../shared/corpus")
	}
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if os.IsNotExist(err) {
		t.Skipf("no documents in %s; set MINICLUSTER_CORPUS to a folder that has them", dir)
	}
	require.NoError(t, err)
	return dir, slices.Collect(strings.Lines(string(index)))[1:]
}

func applyDocument(t *testing.T, version, file string, refused []string) {
	n := newNamespace(t)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	data, err = yaml.YAMLToJSON(data)
	require.NoError(t, err)
	var document unstructured.Unstructured
	require.NoError(t, document.UnmarshalJSON(data))
	// Documents name namespaces that do not exist.
	document.SetNamespace("")
	stored, err := n.miniclusters(version).Create(n.Context(), &document, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if len(refused) == 0 {
		require.NoError(t, err)
		assert.Empty(t, lost(document.Object["spec"], stored.Object["spec"], "spec"), "the server stores the document unchanged")
		becomesObjects(n, stored)
		return
	}
	require.True(t, apierrors.IsBadRequest(err), "%v", err)
	for _, field := range refused {
		assert.ErrorContains(t, err, `unknown field "`+field+`"`)
	}
}

// TestCorpusUnchanged checks that kubectl apply of an unchanged document reports no change. It computes the same
// three-way merge as GitOps tools, which compares lists as a whole.
func TestCorpusUnchanged(t *testing.T) {
	t.Parallel()
	documents := appliedDocuments(t)
	n := newNamespace(t)
	file := filepath.Join(t.TempDir(), "documents.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(documents, "---\n")), 0o600))
	created := n.kubectl("apply", "-f", file)
	assert.Len(t, strings.Split(strings.TrimSpace(created), "\n"), len(documents))
	for line := range strings.Lines(n.kubectl("apply", "-f", file)) {
		assert.Contains(t, line, " unchanged", "applied for the second time")
	}
}

// appliedDocuments returns the documents of the corpus that the API server accepts, with unique names. The others
// have fields that no schema of flux-operator had.
func appliedDocuments(t *testing.T) []string {
	t.Helper()
	dir, rows := corpus(t)
	known := knownFields(t)
	var documents, refused []string
	for i, row := range rows {
		columns := strings.Split(row, "\t")
		version, file, verdict := columns[0], columns[1], columns[3]
		if fields := refusedFields(verdict, known); len(fields) > 0 {
			refused = append(refused, fmt.Sprintf("%s: %s", file, strings.Join(fields, ", ")))
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, version, file))
		require.NoError(t, err)
		var document map[string]any
		require.NoError(t, yaml.Unmarshal(data, &document))
		document["metadata"] = map[string]any{"name": fmt.Sprintf("corpus-%d", i)}
		data, err = yaml.Marshal(document)
		require.NoError(t, err)
		documents = append(documents, string(data))
	}
	t.Logf("%d documents apply; %d do not: %s", len(documents), len(refused), strings.Join(refused, "; "))
	return documents
}

// becomesObjects sends all objects of a stored document to the API server as a dry run.
func becomesObjects(n *namespace, stored *unstructured.Unstructured) {
	var mc v1alpha2.MiniCluster
	require.NoError(n, runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, &mc))
	v1alpha2.SetDefaults(&mc)
	require.Empty(n, validation.ValidateMiniCluster(&mc))
	require.NoError(n, n.createObjects(&mc, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	}))
}

// knownFields are the fields of all schemas of flux-operator.
func knownFields(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(manifest(t, "pkg/apis/fluxframework/v1alpha2/testdata/fields.tsv"))
	require.NoError(t, err)
	known := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		path, _, _ := strings.Cut(line, "\t")
		known[path] = true
	}
	return known
}

// refusedFields returns the unknown fields in an error that are in no schema.
func refusedFields(verdict string, known map[string]bool) []string {
	var refused []string
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(`unknown/([^; ]+)`).FindAllStringSubmatch(verdict, -1) {
		field := match[1]
		generic := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(field, "[]")
		if !known[generic] && !seen[field] {
			seen[field] = true
			refused = append(refused, field)
		}
	}
	return refused
}

// lost returns the parts of a document that are not stored. The server adds defaults, and omits null.
func lost(document, stored any, path string) []string {
	var paths []string
	switch document := document.(type) {
	case nil:
	case map[string]any:
		in, _ := stored.(map[string]any)
		for name := range document {
			paths = append(paths, lost(document[name], in[name], path+"."+name)...)
		}
	case []any:
		in, _ := stored.([]any)
		if len(in) != len(document) {
			return []string{path}
		}
		for i := range document {
			paths = append(paths, lost(document[i], in[i], path+"[]")...)
		}
	default:
		if document != stored {
			return []string{path}
		}
	}
	return paths
}
