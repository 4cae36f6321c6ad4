package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRealGallery runs documents of the gallery with the installed Flux, and compares the output with the pages.
func TestRealGallery(t *testing.T) {
	needRealFlux(t)
	for _, name := range []string{"batch", "launcher", "ensemble", "own-image", "limits"} {
		t.Run(name, func(t *testing.T) {
			if name == "limits" && !hasPlugin(t, "job-manager/plugins/mf_priority.so") {
				t.Skip("needs flux-accounting in the prefix of Flux")
			}
			file := filepath.Join("..", "..", "examples", "gallery", name)
			document, err := os.ReadFile(file + ".yaml")
			require.NoError(t, err)
			page, err := os.ReadFile(file + ".md")
			require.NoError(t, err)
			_, shown, found := strings.Cut(string(page), "$ kubectl minicluster logs "+name)
			require.True(t, found)
			shown, _, _ = strings.Cut(shown, "```")
			options, want, _ := strings.Cut(shown, "\n")

			r := realCluster{Document: string(document)}.run(t)
			assert.Zero(t, r.Code)
			got := strings.Split(r.Stdout, "\n")
			if strings.Contains(options, "sort") {
				slices.Sort(got[:len(got)-1])
			}
			assert.Equal(t, want, strings.Join(got, "\n"))
			assert.Empty(t, r.Stderr)
		})
	}
}
