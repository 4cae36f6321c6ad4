package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/versions/results"
)

// TestSuiteExists checks that all tests of the suite exist.
func TestSuiteExists(t *testing.T) {
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	for _, pkg := range packages() {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
		require.NoError(t, err)
		var text strings.Builder
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			text.Write(content)
		}
		for _, test := range testsOf(pkg) {
			assert.Regexp(t, `(?m)^func `+test+`\(`, text.String(), pkg)
		}
	}
}

// TestReleases checks that the last release is that of the local Kubernetes.
func TestReleases(t *testing.T) {
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	module, err := os.ReadFile(filepath.Join(root, "test", "kube", "go.mod"))
	require.NoError(t, err)
	all := results.Releases()
	assert.Contains(t, string(module), "\tk8s.io/kubernetes "+all[len(all)-1]+"\n")
	some, err := selected("1.33,v1.37")
	require.NoError(t, err)
	assert.Equal(t, []string{all[0], all[len(all)-1]}, some)
	_, err = selected("1.3")
	assert.ErrorContains(t, err, `"1.3" is none of`)
}

func TestOutcomes(t *testing.T) {
	o := outcomes{}
	for _, pkg := range packages() {
		var output strings.Builder
		for _, test := range testsOf(pkg) {
			action := "pass"
			if test == "TestComplete" {
				action = "fail"
			}
			output.WriteString(`{"Action":"run","Test":"` + test + `"}` + "\n")
			output.WriteString(`{"Action":"fail","Test":"` + test + `/part"}` + "\n")
			output.WriteString(`{"Action":"` + action + `","Test":"` + test + `"}` + "\n")
		}
		output.WriteString(`{"Action":"pass"}` + "\n")
		require.NoError(t, o.read(io.Discard, pkg, []byte(output.String())))
	}
	for _, topic := range o.topics() {
		want := results.Passed
		if topic.Name == "success" {
			want = results.Failed
		}
		assert.Equal(t, want, topic.Result, topic.Name)
	}
	for _, topic := range (outcomes{}).topics() {
		assert.Equal(t, results.Failed, topic.Result, "tests that did not run")
	}
}
