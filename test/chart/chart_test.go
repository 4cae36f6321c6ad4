package chart

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

const namespace = "minicluster-system"

var suite = clustertest.New(cluster.Options{Nodes: 1})

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// run runs a command in the root of the repository and returns its standard output.
func run(t *testing.T, env []string, name string, args ...string) ([]byte, error) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// helm runs Helm, in the version of go.mod.
func helm(t *testing.T, env []string, args ...string) ([]byte, error) {
	t.Helper()
	return run(t, env, "go", append([]string{"tool", "-modfile=test/chart/go.mod", "helm"}, args...)...)
}

// objects parses manifests, by kind, namespace and name.
func objects(t *testing.T, manifests []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		if len(o.Object) > 0 {
			found[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = o
		}
	}
}

// values make the chart install what the kustomize manifests install.
var values = []string{"--set=image.tag=latest", "--set=metrics.enabled=true"}

// TestEqualsManifests: the chart and the kustomize manifests have the same objects, but for the Namespace, which Helm
// creates, and for the annotation with which Helm keeps the API.
func TestEqualsManifests(t *testing.T) {
	rendered, err := helm(t, nil, append([]string{"template", "minicluster", "charts/minicluster", "--namespace=" + namespace}, values...)...)
	require.NoError(t, err)
	chart := objects(t, rendered)
	crd := chart["CustomResourceDefinition /miniclusters.flux-framework.org"]
	require.NotNil(t, crd)
	annotations := crd.GetAnnotations()
	assert.Equal(t, "keep", annotations["helm.sh/resource-policy"])
	delete(annotations, "helm.sh/resource-policy")
	crd.SetAnnotations(annotations)

	kustomize := map[string]*unstructured.Unstructured{}
	for _, folder := range []string{"manifests/default", "manifests/metrics"} {
		built, err := run(t, nil, suite.Cluster(t).KubectlPath(), "kustomize", folder)
		require.NoError(t, err)
		for name, object := range objects(t, built) {
			kustomize[name] = object
		}
	}
	delete(kustomize, "Namespace /"+namespace)
	for name, object := range kustomize {
		if assert.Contains(t, chart, name, "the chart lacks it") {
			assert.Equal(t, object.Object, chart[name].Object, name)
		}
	}
	for name := range chart {
		assert.Contains(t, kustomize, name, "the manifests lack it")
	}
}

// TestPersistentVolumes: the optional rights come with the flag.
func TestPersistentVolumes(t *testing.T) {
	rendered, err := helm(t, nil, "template", "minicluster", "charts/minicluster", "--namespace="+namespace,
		"--set=controller.persistentVolumes={nfs.csi.k8s.io,efs.csi.aws.com}", "--set=controller.extraArgs={--workers=5}", "--set=imagePullSecrets={a,b}", "--set=priorityClassName=")
	require.NoError(t, err)
	chart := objects(t, rendered)
	component, err := run(t, nil, suite.Cluster(t).KubectlPath(), "kustomize", "manifests/persistent-volumes")
	require.NoError(t, err)
	for name, object := range objects(t, component) {
		require.Contains(t, chart, name)
		assert.Equal(t, object.Object, chart[name].Object)
	}
	assert.NotContains(t, chart, "ResourceQuota "+namespace+"/minicluster-critical-pods")
	pod, _, err := unstructured.NestedMap(chart["Deployment "+namespace+"/minicluster-controller"].Object, "spec", "template", "spec")
	require.NoError(t, err)
	assert.NotContains(t, pod, "priorityClassName")
	assert.Equal(t, []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}, pod["imagePullSecrets"])
	args, _, err := unstructured.NestedStringSlice(pod["containers"].([]any)[0].(map[string]any), "args") //nolint:forcetypeassert // a Deployment
	require.NoError(t, err)
	assert.Equal(t, []string{
		"--leader-elect", "--logging-format=json",
		"--agent-image-pull-secrets=a", "--agent-image-pull-secrets=b", "--persistent-volumes=nfs.csi.k8s.io,efs.csi.aws.com", "--workers=5",
	}, args)
}

// TestWatchNodes: the value adds the rights and the flag of the component.
func TestWatchNodes(t *testing.T) {
	rendered, err := helm(t, nil, "template", "minicluster", "charts/minicluster", "--namespace="+namespace, "--set=controller.watchNodes=true")
	require.NoError(t, err)
	chart := objects(t, rendered)
	assert.Contains(t, chart, "ClusterRole /minicluster-controller-nodes")
	assert.Contains(t, chart, "ClusterRoleBinding /minicluster-controller-nodes")
	assert.Contains(t, string(rendered), "--watch-nodes]")
}

// TestLeadPlacement: the value adds the policy of the component, word by word.
func TestLeadPlacement(t *testing.T) {
	rendered, err := helm(t, nil, "template", "minicluster", "charts/minicluster", "--namespace="+namespace, "--set=leadPlacement.enabled=true")
	require.NoError(t, err)
	chart := objects(t, rendered)
	component, err := run(t, nil, suite.Cluster(t).KubectlPath(), "kustomize", "manifests/lead-placement")
	require.NoError(t, err)
	policy := objects(t, component)
	assert.Len(t, policy, 2)
	for name, object := range policy {
		require.Contains(t, chart, name)
		assert.Equal(t, object.Object, chart[name].Object)
	}
}

func TestLint(t *testing.T) {
	_, err := helm(t, nil, "lint", "--strict", "charts/minicluster")
	require.NoError(t, err)
	for value, want := range map[string]string{
		"controller.replica=2":           "replica",
		"image.pullPolicy=Sometimes":     "pullPolicy",
		"controller.extraArgs={workers}": "extraArgs",
	} {
		_, err := helm(t, nil, "template", "charts/minicluster", "--set="+value)
		assert.ErrorContains(t, err, want, value)
	}
}

// TestLifecycle: install, upgrade, roll back and uninstall. MiniClusters and their API stay.
func TestLifecycle(t *testing.T) {
	kube := suite.Cluster(t)
	env := []string{"KUBECONFIG=" + kube.Kubeconfig()}
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := kube.Kubectl(t.Context(), args...)
		require.NoError(t, err)
		return out
	}
	do := func(args ...string) {
		t.Helper()
		_, err := helm(t, env, append(args, "--namespace="+namespace)...)
		require.NoError(t, err)
	}
	replicas := func() string {
		t.Helper()
		return kubectl("get", "deployment", "minicluster-controller", "--namespace="+namespace, "--output=jsonpath={.spec.replicas}")
	}
	do(append([]string{"install", "minicluster", "charts/minicluster", "--create-namespace"}, values...)...)
	assert.Equal(t, "2", replicas())
	_, err := kube.KubectlInput(t.Context(), bytes.NewBufferString(`{apiVersion: flux-framework.org/v1alpha2, kind: MiniCluster, metadata: {name: stays, namespace: default},
  spec: {size: 1, containers: [{image: flux}]}}`), "apply", "--filename=-")
	require.NoError(t, err)
	do("upgrade", "minicluster", "charts/minicluster", "--reuse-values", "--set=controller.replicas=3")
	assert.Equal(t, "3", replicas())
	do("rollback", "minicluster", "1")
	assert.Equal(t, "2", replicas())
	do("uninstall", "minicluster", "--wait")
	_, err = kube.Client().AppsV1().Deployments(namespace).Get(t.Context(), "minicluster-controller", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), err)
	assert.Equal(t, "stays", kubectl("get", "minicluster", "stays", "--output=jsonpath={.metadata.name}"))
}
