package kubebin

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/gobuild"
)

// The product and Kubernetes share a thousand packages, the product and other modules of this repository a hundred.
// They are compiled only once if all modules use the same versions.
func TestModulesShareTheVersionsOfTheProduct(t *testing.T) {
	root, err := Root(".")
	require.NoError(t, err)
	product := packageVersions(t, root, "./...")
	for _, module := range []struct {
		dir      string
		packages []string
		common   int
	}{
		{moduleDir, append(clusterSet().packages, nodeSet().packages...), 1000},
		{"test/monitoring", []string{"./..."}, 100},
		{"test/gitops", []string{"./..."}, 50},
		{"test/chart", []string{"./...", "tool"}, 100},
		{"hack/tools", []string{"./...", "tool"}, 100},
	} {
		common := 0
		for pkg, version := range packageVersions(t, filepath.Join(root, filepath.FromSlash(module.dir)), module.packages...) {
			if other, ok := product[pkg]; ok {
				common++
				assert.Equal(t, other, version, "%s: align %s/go.mod with go.mod, with an exclusion if necessary", pkg, module.dir)
			}
		}
		assert.GreaterOrEqual(t, common, module.common, module.dir)
	}
}

// packageVersions maps the dependencies of packages to the versions of their modules.
func packageVersions(t *testing.T, dir string, packages ...string) map[string]string {
	t.Helper()
	const format = "{{with .Module}}{{if not .Main}}{{$.ImportPath}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}{{end}}"
	output, err := gobuild.Run(t.Context(), dir, environment(), io.Discard, append([]string{"list", "-deps", "-test", "-f", format}, packages...)...)
	require.NoError(t, err)
	versions := map[string]string{}
	for line := range strings.Lines(output) {
		// The variant of a package for a test has the name of the test as a third field.
		if fields := strings.Fields(line); len(fields) == 2 {
			versions[fields[0]] = fields[1]
		}
	}
	return versions
}
