package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// TestRecordIsCurrent fails if a file has changed that the last run with a real neighbour covers.
func TestRecordIsCurrent(t *testing.T) {
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	record, err := Load(filepath.Join(root, filepath.FromSlash(File)))
	require.NoError(t, err)
	for _, suite := range Suites() {
		files, err := suite.Files(root)
		require.NoError(t, err)
		assert.Empty(t, record.Outdated(suite, files), "these files have changed since the tests with the real %s passed: "+
			"run make neighbours NEIGHBOURS=%s, which writes %s", suite.Neighbour, suite.Neighbour, File)
	}
	for _, run := range record.Runs {
		assert.NotEmpty(t, run.Passed, run.Neighbour)
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	suite := Suite{Neighbour: "n", Covers: []string{"*.go", "go.mod"}}
	_, err := suite.Files(dir)
	assert.ErrorContains(t, err, "does not exist")

	write("a.go", "package a\n\n// Comment.\nvar a = 1\n\nfunc f() { f() }\n")
	write("go.mod", "module a")
	files, err := suite.Files(dir)
	require.NoError(t, err)
	require.Len(t, files, 2)
	record := &Record{}
	assert.Equal(t, []string{"a.go", "go.mod"}, record.Outdated(suite, files))
	record.Add(Run{Neighbour: "n", Passed: []string{"TestA"}, Files: map[string]string{"gone.go": ""}})
	record.Add(Run{Neighbour: "n", Passed: []string{"TestA"}, Files: files})
	path := filepath.Join(dir, "record.json")
	require.NoError(t, record.Save(path))
	record, err = Load(path)
	require.NoError(t, err)
	require.Len(t, record.Runs, 1)

	current := func() string {
		files, err := suite.Files(dir)
		require.NoError(t, err)
		return strings.Join(record.Outdated(suite, files), " ")
	}
	assert.Empty(t, current())
	write("a.go", "package a\n\n// Another comment.\nvar a  =  1;\n\nfunc f() {\n\tf()\n}\n")
	assert.Empty(t, current(), "comments and formatting do not count")
	write("b.go", "package a\n")
	assert.Equal(t, "b.go", current())
	write("a.go", "package a\n\nvar a = 2\n\nfunc f() { f() }\n")
	require.NoError(t, os.Remove(filepath.Join(dir, "b.go")))
	assert.Equal(t, "a.go", current())
	write("a.go", "package a\n\nvar a = 1\n\nfunc f() { f() }\n")
	write("go.mod", "module a // other")
	assert.Equal(t, "go.mod", current())
}
