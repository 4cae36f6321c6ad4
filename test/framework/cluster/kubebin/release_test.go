package kubebin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReleaseModule(t *testing.T) {
	const theirs = `module k8s.io/kubernetes

go 1.24.0

godebug default=go1.24

require go.etcd.io/etcd/client/v3 v3.5.21

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/sample-controller => ./staging/src/k8s.io/sample-controller
)
`
	assert.Equal(t, `module minicluster.internal/operator/test/kube

go 1.24.0
godebug default=go1.24

require (
	k8s.io/kubernetes v1.33.13
	k8s.io/api v0.33.13
)
`, releaseModule(theirs, "v1.33.13"))
}

// TestCopySources checks that the sources of localkube are changed for older releases, and that each change still has
// something to change.
func TestCopySources(t *testing.T) {
	root, err := Root(".")
	require.NoError(t, err)
	from := filepath.Join(root, moduleDir, "localkube")
	for _, release := range []string{"v1.33.0", "v1.34.0", "v1.37.0"} {
		to := filepath.Join(t.TempDir(), release)
		require.NoError(t, copySources(from, to, release))
		assert.NoFileExists(t, filepath.Join(to, "options_test.go"))
		assert.FileExists(t, filepath.Join(to, "audit-policy.yaml"))
		for _, o := range older() {
			content, err := os.ReadFile(filepath.Join(to, o.file))
			require.NoError(t, err)
			if strings.HasPrefix(release, o.release) {
				assert.Contains(t, string(content), o.instead)
			} else {
				assert.Contains(t, string(content), o.text)
				assert.NotContains(t, string(content), o.instead)
			}
		}
	}
	assert.ErrorContains(t, copySources(t.TempDir(), "/dev/null/x", "v1.33.0"), "/dev/null")
}
