package chart

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/test/framework/golden"
)

// template renders the chart with flags of Helm.
func template(t *testing.T, namespace string, flags ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	rendered, err := helm(t, nil, append([]string{"template", "minicluster", "charts/minicluster", "--namespace=" + namespace}, flags...)...)
	require.NoError(t, err)
	return objects(t, rendered)
}

// TestPodValues compares both Deployments with golden files: by default, and with every value of a pod.
func TestPodValues(t *testing.T) {
	for name, flag := range map[string]string{
		"default.yaml": "--set=metrics.enabled=true",
		"set.yaml":     "--values=test/chart/testdata/values.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			chart := template(t, namespace, flag)
			var deployments strings.Builder
			for _, name := range []string{"minicluster-controller", "minicluster-metrics"} {
				deployment, err := yaml.Marshal(chart["Deployment "+namespace+"/"+name].Object)
				require.NoError(t, err)
				deployments.WriteString("---\n" + string(deployment))
			}
			golden.Check(t, name, []byte(deployments.String()))
		})
	}
}

// TestDefaultContainer checks that a user's annotation replaces the one that the chart sets. The objects are read
// strictly, since a parser may accept a key that is there twice.
func TestDefaultContainer(t *testing.T) {
	const annotation = "kubectl.kubernetes.io/default-container"
	for _, component := range []string{"controller", "metrics"} {
		t.Run(component, func(t *testing.T) {
			rendered, err := helm(t, nil, "template", "charts/minicluster", "--set=metrics.enabled=true", "--show-only=templates/"+component+".yaml",
				"--set-json="+component+`.podAnnotations={"`+annotation+`":"proxy","note":"a"}`)
			require.NoError(t, err)
			var annotations map[string]string
			for document := range strings.SplitSeq(string(rendered), "---\n") {
				var object unstructured.Unstructured
				require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object.Object))
				if object.GetKind() == "Deployment" {
					annotations, _, err = unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "annotations")
					require.NoError(t, err)
				}
			}
			assert.Equal(t, map[string]string{annotation: "proxy", "note": "a"}, annotations)
		})
	}
}

// TestSchema checks that an error names the wrong value, even if null removed a section.
func TestSchema(t *testing.T) {
	for value, want := range map[string]string{
		"controller.replica=2":                                  `at '/controller': additional properties 'replica'`,
		"nameOverride=x":                                        `additional properties 'nameOverride'`,
		"controller.replicas=-1":                                `at '/controller/replicas'`,
		"controller.replicas=null":                              `at '/controller': missing property 'replicas'`,
		"controller.resources=null":                             `at '/controller': missing property 'resources'`,
		"metrics.resources.limits.memory=null":                  `at '/metrics/resources/limits': missing property 'memory'`,
		"controller=null":                                       `missing property 'controller'`,
		"image=null":                                            `missing property 'image'`,
		"image.pullPolicy=Sometimes":                            `at '/image/pullPolicy'`,
		"image.tag=sha256:0123":                                 `at '/image/tag'`,
		"image.tag=5":                                           `at '/image/tag': got number`,
		"image.digest=0123":                                     `at '/image/digest'`,
		"image.repository=example.org/a:v1":                     `at '/image/repository'`,
		"imagePullSecrets[0].nam=a":                             `at '/imagePullSecrets/0'`,
		"imagePullSecrets={a,A_b}":                              `at '/imagePullSecrets/1': 'A_b' does not match`,
		"imagePullSecrets[0].name=a..b":                         `at '/imagePullSecrets/0/name': 'a..b' does not match`,
		"controller.extraArgs={workers}":                        `at '/controller/extraArgs/0'`,
		"controller.extraEnv[0].name=POD_NAME":                  `at '/controller/extraEnv/0/name'`,
		"metrics.extraEnv[0].value=a":                           `at '/metrics/extraEnv/0': missing property 'name'`,
		"controller.nodeSelector.gpu=true":                      `at '/controller/nodeSelector/gpu': got boolean, want string`,
		"metrics.tolerations.key=a":                             `at '/metrics/tolerations': got object, want array`,
		"controller.topologySpreadConstraints[0]=":              `at '/controller/topologySpreadConstraints/0'`,
		"controller.affinity=a":                                 `at '/controller/affinity'`,
		"metrics.podAnnotations.a=1":                            `at '/metrics/podAnnotations/a': got number, want string`,
		"controller.namespaced=true,metrics.enabled=true":       `metrics.enabled needs objects outside the namespace`,
		"controller.namespaced=true,controller.watchNodes=true": `controller.watchNodes needs objects outside the namespace`,
	} {
		t.Run(value, func(t *testing.T) {
			_, err := helm(t, nil, "template", "charts/minicluster", "--set="+value)
			assert.ErrorContains(t, err, want)
		})
	}
}

// TestValuesAreDocumented checks that values.yaml and the schema have the same values.
func TestValuesAreDocumented(t *testing.T) {
	var values map[string]any
	text, err := os.ReadFile("../../charts/minicluster/values.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &values))
	type property struct {
		Properties map[string]property
	}
	var schema property
	text, err = os.ReadFile("../../charts/minicluster/values.schema.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &schema))
	delete(schema.Properties, "global") // Helm's own
	assert.ElementsMatch(t, slices.Collect(maps.Keys(schema.Properties)), slices.Collect(maps.Keys(values)))
	for name, section := range schema.Properties {
		if section.Properties != nil {
			documented, ok := values[name].(map[string]any)
			if assert.True(t, ok, "values.yaml has no section %s", name) {
				assert.ElementsMatch(t, slices.Collect(maps.Keys(section.Properties)), slices.Collect(maps.Keys(documented)), name)
			}
		}
	}
}

// TestOddNames checks that names that look like numbers stay texts, and that long ones are not changed.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"123", "1e5", "0x1f", strings.Repeat("n", 63)} {
		chart := template(t, name, "--set=metrics.enabled=true", "--set-string=imagePullSecrets={"+name+"}")
		deployment := chart["Deployment "+name+"/minicluster-controller"]
		if assert.NotNil(t, deployment, name) {
			secrets, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "imagePullSecrets")
			require.NoError(t, err)
			assert.Equal(t, []any{map[string]any{"name": name}}, secrets)
		}
		subjects, _, err := unstructured.NestedSlice(chart["ClusterRoleBinding /minicluster-controller"].Object, "subjects")
		require.NoError(t, err)
		assert.Equal(t, []any{map[string]any{"kind": "ServiceAccount", "name": "minicluster-controller", "namespace": name}}, subjects)
		rules, _, err := unstructured.NestedSlice(chart["FlowSchema /minicluster-leader-election"].Object, "spec", "rules")
		require.NoError(t, err)
		text, err := json.Marshal(rules)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"namespaces":["`+name+`"]`)
	}
}

// TestImage checks that the chart installs the image that make image builds, and that an empty tag is the version.
func TestImage(t *testing.T) {
	var chart struct{ AppVersion string }
	text, err := os.ReadFile("../../charts/minicluster/Chart.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &chart))
	for value, want := range map[string]string{
		"image.pullPolicy=IfNotPresent":                   "minicluster:latest",
		"image.tag=":                                      "minicluster:" + chart.AppVersion,
		"image.tag=null":                                  "minicluster:" + chart.AppVersion,
		"image.repository=localhost:5000/minicluster":     "localhost:5000/minicluster:latest",
		"image.repository=example.org/a/b,image.tag=v1.2": "example.org/a/b:v1.2",
	} {
		deployment := template(t, namespace, "--set="+value)["Deployment "+namespace+"/minicluster-controller"]
		containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
		require.NoError(t, err)
		assert.Equal(t, want, containers[0].(map[string]any)["image"], value) //nolint:forcetypeassert // a container
	}
}

// TestNamespaced checks that the value installs what manifests/namespaced installs.
func TestNamespaced(t *testing.T) {
	chart := template(t, namespace, "--set=controller.namespaced=true")
	built, err := run(t, nil, suite.Cluster(t).KubectlPath(), "kustomize", "manifests/namespaced")
	require.NoError(t, err)
	kustomize := objects(t, built)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(kustomize)), slices.Collect(maps.Keys(chart)))
	for name, object := range kustomize {
		if assert.Contains(t, chart, name) {
			assert.Equal(t, object.Object, chart[name].Object, name)
		}
	}
}
