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

// The product and Kubernetes have a thousand packages in common. They are compiled once for both as long as both take them
// from the same versions of their modules.
func TestKubernetesIsBuiltFromTheVersionsOfTheProduct(t *testing.T) {
	root, err := Root(".")
	require.NoError(t, err)
	product := packageVersions(t, root, "./cmd/...", "./pkg/...")
	sets := append(clusterSet().packages, nodeSet().packages...)
	common := 0
	for pkg, version := range packageVersions(t, filepath.Join(root, moduleDir), sets...) {
		if other, ok := product[pkg]; ok {
			common++
			assert.Equal(t, other, version, "%s: align test/kube/go.mod with go.mod, by a replacement where need be", pkg)
		}
	}
	assert.Greater(t, common, 500)
}

// packageVersions maps the dependencies of packages to the versions of their modules.
func packageVersions(t *testing.T, dir string, packages ...string) map[string]string {
	t.Helper()
	const format = "{{with .Module}}{{if not .Main}}{{$.ImportPath}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}{{end}}"
	output, err := gobuild.Run(t.Context(), dir, environment(), io.Discard, append([]string{"list", "-deps", "-f", format}, packages...)...)
	require.NoError(t, err)
	versions := map[string]string{}
	for line := range strings.Lines(output) {
		pkg, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok {
			versions[pkg] = version
		}
	}
	return versions
}
