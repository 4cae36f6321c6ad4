package api_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"minicluster.internal/operator/pkg/plugin"
)

// TestGallery checks that lint accepts each document of the gallery, that the API server would create it, and that a
// page links to it. lint warns of devices of networks, which Flux does not schedule.
func TestGallery(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	documents, err := filepath.Glob(manifest(t, "examples/gallery/*.yaml"))
	require.NoError(t, err)
	migrated, err := filepath.Glob(manifest(t, "examples/gallery/migration/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	require.Len(t, migrated, 7)
	pages := galleryPages(t)
	for _, file := range append(documents, migrated...) {
		name := filepath.Base(file)
		out, err := n.kube.Kubectl(t.Context(), "create", "--dry-run=server", "--validate=strict", "--namespace="+n.name, "--filename="+file)
		require.NoError(t, err, name)
		assert.Contains(t, out, "minicluster.flux-framework.org/", name)
		assert.Contains(t, pages, name+"](", "no page links to it")
		for _, warning := range lint(t, file) {
			assert.Contains(t, warning, "is not a GPU that Flux knows: jobs can use it", name)
		}
	}
}

// galleryPages returns the pages of the gallery. Each is in the index, and says what was run.
func galleryPages(t *testing.T) string {
	t.Helper()
	index, err := os.ReadFile(manifest(t, "examples/README.md"))
	require.NoError(t, err)
	files, err := filepath.Glob(manifest(t, "examples/gallery/*.md"))
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		page, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(index), "(gallery/"+filepath.Base(file)+")", "the index")
		assert.Contains(t, string(page), "\n**Run:** ", file)
		all.Write(page)
	}
	return all.String()
}

// lint returns the warnings of kubectl minicluster lint, which finds no errors.
func lint(t *testing.T, file string) []string {
	t.Helper()
	var out bytes.Buffer
	cmd := plugin.NewCommand(genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out})
	cmd.SetArgs([]string{"lint", "--notes=false", file})
	require.NoError(t, cmd.ExecuteContext(t.Context()), "%s", &out)
	return slices.Collect(strings.Lines(out.String()))
}
