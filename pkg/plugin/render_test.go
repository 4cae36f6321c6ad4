package plugin

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "update the golden files")

// splitObjects returns the text of each object that render prints, by its name.
func splitObjects(t *testing.T, out string) map[string]string {
	t.Helper()
	objects := map[string]string{}
	for _, text := range strings.Split(out, "---\n")[1:] {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &o))
		objects[o.Kind+"/"+o.Metadata.Name] = text
	}
	return objects
}

func TestRender(t *testing.T) {
	out, problems, err := command(t, sound+"---\n"+strings.Replace(sound, "name: sound", "generateName: more-", 1), "render", "-f", "-",
		"--agent-image=registry/agent:1", "-n", "team")
	require.NoError(t, err, problems)
	objects := splitObjects(t, out)
	assert.Len(t, objects, 8)
	job := objects["Job/sound"]
	assert.Contains(t, job, "image: registry/agent:1")
	assert.Contains(t, job, "namespace: team")
	assert.NotContains(t, out, "ownerReferences", "the owner does not exist yet")
	assert.NotContains(t, out, "\nstatus:")
	assert.Contains(t, objects, "Job/more-xxxxx")
}

// TestRenderKeepsKeys checks that no key or password is printed, neither a generated nor a given one.
func TestRenderKeepsKeys(t *testing.T) {
	const password = "s3cretpw"
	text := strings.Replace(sound, "size: 2", "size: 2\n  users: [{name: ada, password: "+password+"}]", 1)
	out, _, err := command(t, text, "render", "-f", "-")
	require.NoError(t, err)
	secret := splitObjects(t, out)["Secret/sound-curve-00000000"]
	assert.Contains(t, secret, "curve.cert: "+"'"+withheld)
	assert.Contains(t, secret, "passwords.json: "+"'"+withheld)
	assert.NotContains(t, secret, "\ndata:")
	assert.NotContains(t, out, password)
	assert.NotRegexp(t, `(?i)secret-key|BEGIN`, out)
}

// TestRenderKeepsOwners checks the owner reference of a MiniCluster that has a UID.
func TestRenderKeepsOwners(t *testing.T) {
	out, _, err := command(t, strings.Replace(sound, "name: sound", "name: sound, uid: 3f6c1a52-8a3e-4d31-9c35-6f1e4ab3a001", 1), "render", "-f", "-")
	require.NoError(t, err)
	assert.Contains(t, out, "uid: 3f6c1a52-8a3e-4d31-9c35-6f1e4ab3a001")
	assert.Contains(t, splitObjects(t, out), "Secret/sound-curve-3f6c1a52")
}

func TestRenderRefuses(t *testing.T) {
	out, problems, err := command(t, strings.Replace(sound, "size: 2", "size: -1", 1)+"---\n"+sound, "render", "-f", "-")
	require.ErrorContains(t, err, "document 1 (sound): not valid")
	assert.Contains(t, problems, "standard input: document 1 (sound): error: spec.size: ")
	assert.Contains(t, splitObjects(t, out), "Job/sound", "the other one is printed")
	_, _, err = command(t, sound, "render", "-f", "-", "--agent-image-pull-policy=x")
	require.ErrorContains(t, err, "--agent-image-pull-policy")
}

// TestRenderCorpus compares the objects of ten documents by users of flux-operator, without the ConfigMap, with
// golden files. The documents are not part of the repository; a clone without them skips the test.
func TestRenderCorpus(t *testing.T) {
	dir := os.Getenv("MINICLUSTER_CORPUS")
	if dir == "" {
		dir = filepath.FromSlash("../../../shared/corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no documents in %s; set MINICLUSTER_CORPUS to a folder that has them", dir)
	}
	for _, name := range []string{
		"v1alpha1/fo-20230531__docs_tutorials_multi-tenancy.md.block0",
		"v1alpha1/fo-20230531__docs_tutorials_volumes.md.block1",
		"v1alpha1/fo-20230531__examples_elasticity_basic_minicluster",
		"v1alpha1/fo-20230531__examples_nested_k3s_basic_minicluster",
		"v1alpha1/fo-20230531__examples_tests_nginx-service_minicluster",
		"v1alpha2/fo-HEAD__examples_distributed_fractal_minicluster",
		"v1alpha2/fo-HEAD__examples_services_sidecar_flux-restful_minicluster",
		"v1alpha2/fo-HEAD__examples_storage_aws_somospie_s3fs-fuse_minicluster",
		"v1alpha2/fo-HEAD__examples_tests_emptydir_minicluster-without",
		"v1alpha2/fo-HEAD__examples_tests_nginx-sidecar-service_minicluster",
	} {
		t.Run(name, func(t *testing.T) {
			out, problems, err := command(t, "", "render", "-f", filepath.Join(dir, filepath.FromSlash(name)+".yaml"))
			require.NoError(t, err, problems)
			var got bytes.Buffer
			for _, text := range strings.SplitAfter(out, "---\n") {
				if !strings.Contains(text, "kind: ConfigMap") {
					got.WriteString(text)
				}
			}
			golden(t, filepath.Join("corpus", name+".yaml"), got.String())
		})
	}
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to create it")
	require.Equal(t, string(want), got)
}
