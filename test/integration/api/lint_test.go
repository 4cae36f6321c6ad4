package api_test

import (
	"context"
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

	"minicluster.internal/operator/pkg/plugin/schema"
	"minicluster.internal/operator/test/framework/randomspec"
)

// randomDocuments is the number of random documents that TestLintAgrees compares.
const randomDocuments = 300

// TestLintAgrees checks that the schema of lint and the API server have the same verdict: the same unknown fields, and
// errors of the same fields.
func TestLintAgrees(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	judge, err := schema.New()
	require.NoError(t, err)
	outcomes := map[string]int{}
	for name, document := range wrongDocuments() {
		for _, version := range versions() {
			outcomes[n.compare(judge, name, object(t, version, document))]++
		}
	}
	for seed := range uint64(randomDocuments) {
		random, err := runtime.DefaultUnstructuredConverter.ToUnstructured(randomspec.New(seed))
		require.NoError(t, err)
		delete(random, "status")
		u := &unstructured.Unstructured{Object: random}
		u.SetUID("")
		u.SetAPIVersion("flux-framework.org/" + versions()[seed%2])
		u.SetKind("MiniCluster")
		outcomes[n.compare(judge, "random", u)]++
	}
	for file, document := range corpusDocuments(t) {
		outcomes[n.compare(judge, file, document)]++
	}
	t.Logf("verdicts: %v", outcomes)
	for _, outcome := range []string{"accepted", "rejected", "unknown fields"} {
		assert.Positive(t, outcomes[outcome], outcome)
	}
}

// wrongDocuments are documents without apiVersion and kind, each with another kind of error.
func wrongDocuments() map[string]string {
	const spec = "metadata: {name: a}\nspec: "
	return map[string]string{
		"no containers":      spec + "{}",
		"a wrong type":       spec + "{size: two, containers: [{}]}",
		"a fraction":         spec + "{size: 2.5, containers: [{}]}",
		"a negative size":    spec + "{size: -1, containers: [{}]}",
		"a large size":       spec + "{size: 2147483648, containers: [{}]}",
		"sizes":              spec + "{size: 3, maxSize: 2, containers: [{}]}",
		"a number as text":   spec + "{containers: [{environment: {A: 1}}]}",
		"a fraction of CPUs": spec + "{containers: [{resources: {limits: {cpu: 0.5}}}]}",
		"a broken quantity":  spec + "{containers: [{resources: {limits: {cpu: many}}}]}",
		"null in a list":     spec + "{containers: [null]}",
		"null fields":        spec + "{size: null, flux: {container: null}, containers: [{command: null, resources: null}]}",
		"an enum":            spec + "{containers: [{}], pod: {restartPolicy: Sometimes}}",
		"an object":          spec + "{containers: {image: a}}",
		"unknown fields":     spec + "{sizes: 2, containers: [{imagee: a}], volumes: {a: {class: b}}}",
		"unknown metadata":   "metadata: {name: a, owner: me}\nspec: {containers: [{}]}",
		"a long name":        "metadata: {name: " + strings.Repeat("a", 70) + "}\nspec: {containers: [{}]}",
		"a wrong name":       "metadata: {name: A_1}\nspec: {containers: [{}]}",
		"a generated name":   "metadata: {generateName: a-}\nspec: {containers: [{}]}",
		"a wrong label":      "metadata: {name: a, labels: {a: b c}}\nspec: {containers: [{}]}",
	}
}

// corpusDocuments returns the documents of users of flux-operator.
func corpusDocuments(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	dir, rows := corpus(t)
	documents := map[string]*unstructured.Unstructured{}
	for _, row := range rows {
		columns := strings.Split(row, "\t")
		data, err := os.ReadFile(filepath.Join(dir, columns[0], columns[1]))
		require.NoError(t, err)
		data, err = yaml.YAMLToJSON(data)
		require.NoError(t, err)
		document := &unstructured.Unstructured{}
		require.NoError(t, document.UnmarshalJSON(data))
		documents[columns[1]] = document
	}
	assert.GreaterOrEqual(t, len(documents), 74)
	return documents
}

// compare returns the verdict on a document, which has to be the same of both.
func (n *namespace) compare(judge *schema.Schema, name string, document *unstructured.Unstructured) string {
	n.Helper()
	document.SetNamespace(n.name)
	version := document.GroupVersionKind().Version
	verdict := judge.Admit(n.Context(), document.DeepCopy().Object, version)
	require.NoError(n, verdict.Malformed, name)
	fields := map[string]bool{}
	for _, err := range verdict.Errors {
		fields[err.Field] = true
	}
	unknown := slices.Sorted(slices.Values(verdict.Unknown))
	outcome := "accepted"
	if len(unknown) > 0 {
		outcome = "unknown fields"
	}
	assert.Equal(n, slices.Compact(unknown), n.unknownFields(document), "%s: unknown fields", name)
	if len(fields) > 0 {
		outcome = "rejected"
	}
	assert.Equal(n, fields, n.rejectedFields(document), "%s: fields of the errors; lint reports %v", name, verdict.Errors)
	return outcome
}

// dryRun creates a document without keeping it.
func (n *namespace) dryRun(ctx context.Context, document *unstructured.Unstructured, fieldValidation string) error {
	_, err := n.miniclusters(document.GroupVersionKind().Version).Create(ctx, document.DeepCopy(), metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: fieldValidation,
	})
	return err
}

// unknownFields returns what strict field validation of the API server names.
func (n *namespace) unknownFields(document *unstructured.Unstructured) []string {
	n.Helper()
	err := n.dryRun(n.Context(), document, metav1.FieldValidationStrict)
	if !apierrors.IsBadRequest(err) {
		return nil
	}
	var fields []string
	for _, match := range regexp.MustCompile(`unknown field "([^"]+)"`).FindAllStringSubmatch(err.Error(), -1) {
		fields = append(fields, match[1])
	}
	slices.Sort(fields)
	return fields
}

// rejectedFields returns the fields of the errors of the API server.
func (n *namespace) rejectedFields(document *unstructured.Unstructured) map[string]bool {
	n.Helper()
	fields := map[string]bool{}
	err := n.dryRun(n.Context(), document, metav1.FieldValidationIgnore)
	if err == nil {
		return fields
	}
	require.True(n, apierrors.IsInvalid(err), "%v", err)
	var status apierrors.APIStatus
	require.ErrorAs(n, err, &status)
	for _, cause := range status.Status().Details.Causes {
		fields[cause.Field] = true
	}
	return fields
}
