// Package api_test tests what the API server accepts as a MiniCluster, which fields it defaults, and its error
// messages. No controller runs.
package api_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// No pods are created, so no nodes are needed.
var suite = clustertest.New(cluster.Options{Nodes: -1}, clustertest.Apply("manifests/crd", "manifests/namespace", "manifests/rbac"))

func TestMain(m *testing.M) {
	os.Exit(suite.Run(m))
}

// namespace is the namespace of a test, with a user's clients.
type namespace struct {
	*testing.T
	kube *cluster.Cluster
	name string
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	kube := suite.Cluster(t)
	return &namespace{T: t, kube: kube, name: clustertest.Namespace(t, kube)}
}

// versions are all versions of the API.
func versions() []string { return []string{"v1alpha1", "v1alpha2"} }

func (n *namespace) miniclusters(version string) dynamic.ResourceInterface {
	n.Helper()
	client, err := dynamic.NewForConfig(n.kube.Config())
	require.NoError(n, err)
	resource := schema.GroupVersionResource{Group: v1alpha2.GroupName, Version: version, Resource: "miniclusters"}
	return client.Resource(resource).Namespace(n.name)
}

// minimal is the smallest useful MiniCluster.
const minimal = "metadata: {name: flux}\nspec: {containers: [{command: hostname}]}"

// object decodes a document without apiVersion and kind.
func object(t *testing.T, version, document string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte("apiVersion: " + v1alpha2.GroupName + "/" + version + "\nkind: MiniCluster\n" + document))
	require.NoError(t, err)
	var out unstructured.Unstructured
	require.NoError(t, out.UnmarshalJSON(data))
	return &out
}

// tryCreate creates an object as strictly as kubectl apply does.
func (n *namespace) tryCreate(version, document string) (*unstructured.Unstructured, error) {
	n.Helper()
	return n.miniclusters(version).Create(n.Context(), object(n.T, version, document), metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
}

func (n *namespace) create(version, document string) *unstructured.Unstructured {
	n.Helper()
	created, err := n.tryCreate(version, document)
	require.NoError(n, err)
	return created
}

func (n *namespace) get(version, name string) *unstructured.Unstructured {
	n.Helper()
	got, err := n.miniclusters(version).Get(n.Context(), name, metav1.GetOptions{})
	require.NoError(n, err)
	return got
}

// tryPatch sends a merge patch, written as YAML.
func (n *namespace) tryPatch(version, name, patch string, subresources ...string) error {
	n.Helper()
	data, err := yaml.YAMLToJSON([]byte(patch))
	require.NoError(n, err)
	_, err = n.miniclusters(version).Patch(n.Context(), name, types.MergePatchType, data,
		metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict}, subresources...)
	return err
}

func (n *namespace) patch(version, name, patch string, subresources ...string) {
	n.Helper()
	require.NoError(n, n.tryPatch(version, name, patch, subresources...))
}

func (n *namespace) kubectl(args ...string) string {
	n.Helper()
	out, err := n.kube.Kubectl(n.Context(), append([]string{"--namespace", n.name}, args...)...)
	require.NoError(n, err)
	return out
}

// field returns a value by a path like spec.flux.installRoot.
func field(t *testing.T, mc *unstructured.Unstructured, path string) any {
	t.Helper()
	value, _, err := unstructured.NestedFieldNoCopy(mc.Object, strings.Split(path, ".")...)
	require.NoError(t, err)
	return value
}
