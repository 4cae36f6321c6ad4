package resources

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/validation"
	"minicluster.internal/operator/test/framework/randomspec"
	"minicluster.internal/operator/test/framework/sample"
)

// FuzzBuild builds the objects of random MiniClusters: valid ones with some changes.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("changes of several fields"))
	f.Fuzz(func(t *testing.T, choices []byte) { buildAll(t, randomspec.FromBytes(choices)) })
}

// FuzzBuildDocument builds the objects of documents.
func FuzzBuildDocument(f *testing.F) {
	examples, err := filepath.Glob("../../../examples/*/*/minicluster.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, examples)
	for _, example := range examples {
		text, err := os.ReadFile(example)
		require.NoError(f, err)
		f.Add(text)
	}
	everything, err := yaml.Marshal(sample.MiniCluster(everything))
	require.NoError(f, err)
	f.Add(everything)
	f.Fuzz(func(t *testing.T, document []byte) {
		var mc v1alpha2.MiniCluster
		if yaml.Unmarshal(document, &mc) == nil {
			buildAll(t, &mc)
		}
	})
}

// buildAll builds all objects of a MiniCluster. Nothing may panic. If the validator accepts a MiniCluster, it can be
// built and always results in the same objects.
func buildAll(t *testing.T, mc *v1alpha2.MiniCluster) {
	v1alpha2.SetDefaults(mc)
	again := mc.DeepCopy()
	v1alpha2.SetDefaults(again)
	require.Equal(t, mc, again, "defaults of defaults")

	errs := validation.ValidateMiniCluster(mc)
	require.Equal(t, errs, validation.ValidateMiniCluster(again), "the validator is not deterministic")
	first, err := buildObjects(mc)
	if len(errs) > 0 {
		return
	}
	require.NoError(t, err, "the validator accepts a MiniCluster that cannot be built")
	second, err := buildObjects(again)
	require.NoError(t, err)
	require.Equal(t, string(first), string(second), "the same MiniCluster results in other objects")
	require.Equal(t, again, mc, "a builder modifies its input")
	for _, env := range []Environment{testEnvironment, {ServerMinor: 27}, {ImageVolumes: true}} {
		spec := buildPodSpec(mc, NewFixed(mc), env)
		checkPod(t, mc, &spec)
	}
	checkSpecHash(t, mc)
}

func buildObjects(mc *v1alpha2.MiniCluster) ([]byte, error) {
	objects, err := Objects(mc, NewFixed(mc), testEnvironment, sample.Zeroes{}, metav1.Unix(0, 0).Time)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			// TLS keys always use the randomness of the system.
			maps.DeleteFunc(secret.Data, func(key string, _ []byte) bool { return strings.HasPrefix(key, "control-") })
		}
	}
	return json.Marshal(objects)
}

// checkSpecHash checks that a new Job matches its spec.
func checkSpecHash(t *testing.T, mc *v1alpha2.MiniCluster) {
	job, err := BuildJob(mc, NewFixed(mc), testEnvironment, mc.RequestedSize())
	require.NoError(t, err)
	edited, err := EditedFields(mc, job.Annotations[v1alpha2.AnnotationSpecHash])
	require.NoError(t, err)
	require.Empty(t, edited, "nothing was edited")
}
