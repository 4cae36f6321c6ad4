package validation

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestCorpus validates documents of users of flux-operator. They are not part of the repository; a clone without them
// skips the test.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("MINICLUSTER_CORPUS")
	if dir == "" {
		dir = filepath.FromSlash("../../../shared/corpus")
	}
	files, err := filepath.Glob(filepath.Join(dir, "v1alpha*", "*.yaml"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("no documents in %s; set MINICLUSTER_CORPUS to a folder that has them", dir)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var mc v1alpha2.MiniCluster
			require.NoError(t, yaml.Unmarshal(data, &mc))
			if filepath.Base(filepath.Dir(file)) == "v1alpha1" {
				if mc.Spec.Flux == nil {
					mc.Spec.Flux = &v1alpha2.FluxSpec{}
				}
				mc.Spec.Flux.InstallRoot = "/usr"
			}
			v1alpha2.SetDefaults(&mc)
			assert.Empty(t, ValidateMiniCluster(&mc))
		})
	}
}
