package chart

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// program builds Helm, in the version of go.mod, and returns its path. Started by the go command, each of its runs
// would take several times as long.
var program = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "helm").Output() //nolint:noctx // for all tests
	return strings.TrimSpace(string(out)), err
})

// helm runs Helm.
func helm(t *testing.T, env []string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	return run(t, env, path, args...)
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
var values = []string{"--set=metrics.enabled=true"}

// TestEqualsManifests: the chart and the kustomize manifests have the same objects, but for the Namespace, which Helm
// creates, and for the annotation with which Helm keeps the API.
func TestEqualsManifests(t *testing.T) {
	chart := template(t, namespace, values...)
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
	chart := template(t, namespace, "--set=leadPlacement.enabled=true")
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
}

// cli runs kubectl and Helm on the cluster of the tests.
type cli struct {
	*testing.T
	*cluster.Cluster
}

func (c cli) kubectl(args ...string) string {
	c.Helper()
	out, err := c.Kubectl(c.Context(), args...)
	require.NoError(c, err)
	return out
}

// helm runs a command of Helm on a release in a namespace.
func (c cli) helm(namespace string, args ...string) error {
	c.Helper()
	_, err := helm(c.T, []string{"KUBECONFIG=" + c.Kubeconfig()}, append(args, "--namespace="+namespace)...)
	return err
}

// leftovers returns the objects of the operator in a namespace and outside of namespaces.
func (c cli) leftovers(namespace string) []string {
	c.Helper()
	kinds := "deployments,pods,services,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,resourcequotas,secrets,configmaps,leases," +
		"clusterroles,clusterrolebindings,flowschemas,customresourcedefinitions"
	var found []string
	for name := range strings.FieldsSeq(c.kubectl("get", kinds, "--namespace="+namespace, "--output=name")) {
		if strings.Contains(name, "minicluster") {
			found = append(found, name)
		}
	}
	return found
}

// TestLifecycle: install, upgrade, roll back and uninstall. MiniClusters and their API stay, and another release takes
// the API over.
func TestLifecycle(t *testing.T) {
	c := cli{t, suite.Cluster(t)}
	const api = "customresourcedefinition.apiextensions.k8s.io/miniclusters.flux-framework.org"
	replicas := func() string {
		t.Helper()
		return c.kubectl("get", "deployment", "minicluster-controller", "--namespace="+namespace, "--output=jsonpath={.spec.replicas}")
	}
	// The command of docs/install.md, with the image that make image built before.
	page, err := os.ReadFile("../../docs/install.md")
	require.NoError(t, err)
	install := regexp.MustCompile("`helm (install [^`]+)`").FindSubmatch(page)
	require.NotNil(t, install)
	_, err = helm(t, []string{"KUBECONFIG=" + c.Kubeconfig()}, strings.Fields(string(install[1]))...)
	require.NoError(t, err)
	assert.Equal(t, "minicluster:latest", c.kubectl("get", "deployment", "minicluster-controller", "--namespace="+namespace,
		"--output=jsonpath={.spec.template.spec.containers[0].image}"))
	assert.Equal(t, "2", replicas())
	_, err = c.KubectlInput(t.Context(), bytes.NewBufferString(`{apiVersion: flux-framework.org/v1alpha2, kind: MiniCluster, metadata: {name: stays, namespace: default},
  spec: {size: 1, containers: [{image: flux}]}}`), "apply", "--filename=-")
	require.NoError(t, err)
	require.NoError(t, c.helm(namespace, "upgrade", "minicluster", "charts/minicluster", "--reset-then-reuse-values", "--set=controller.replicas=3", "--set=metrics.enabled=true"))
	assert.Equal(t, "3", replicas())
	require.NoError(t, c.helm(namespace, "rollback", "minicluster", "1"))
	assert.Equal(t, "2", replicas())

	const manages = `the release "minicluster" in the namespace "minicluster-system" already manages the MiniClusters of this Kubernetes cluster`
	require.ErrorContains(t, c.helm("other", "install", "other", "charts/minicluster", "--create-namespace"), manages)
	require.ErrorContains(t, c.helm(namespace, "install", "other", "charts/minicluster", "--take-ownership"), manages)

	require.NoError(t, c.helm(namespace, "uninstall", "minicluster", "--wait"))
	assert.Equal(t, []string{api}, c.leftovers(namespace))
	assert.Equal(t, "stays", c.kubectl("get", "minicluster", "stays", "--output=jsonpath={.metadata.name}"))

	require.ErrorContains(t, c.helm("other", "install", "other", "charts/minicluster", "--create-namespace"), "cannot be imported into the current release")
	require.NoError(t, c.helm("other", "install", "other", "charts/minicluster", "--create-namespace", "--take-ownership"))
	require.NoError(t, c.helm("other", "uninstall", "other", "--wait"))
	assert.Equal(t, []string{api}, c.leftovers("other"))

	// From the manifests to Helm. In between, the operator was changed with kubectl.
	c.kubectl("apply", "--kustomize=../../manifests/default")
	require.ErrorContains(t, c.helm(namespace, "install", "minicluster", "charts/minicluster"), "cannot be imported into the current release")
	require.NoError(t, c.helm(namespace, "install", "minicluster", "charts/minicluster", "--take-ownership", "--force-conflicts"))
	c.kubectl("scale", "deployment/minicluster-controller", "--namespace="+namespace, "--replicas=1")
	require.ErrorContains(t, c.helm(namespace, "upgrade", "minicluster", "charts/minicluster"), "conflict")
	require.NoError(t, c.helm(namespace, "upgrade", "minicluster", "charts/minicluster", "--force-conflicts"))
	assert.Equal(t, "2", replicas())
	require.NoError(t, c.helm(namespace, "uninstall", "minicluster", "--wait"))
	assert.Equal(t, []string{api}, c.leftovers(namespace))
}

// TestNamespacedReleases installs a release in each of two namespaces, as users with the rights that
// docs/operations.md names and none outside of the namespaces.
func TestNamespacedReleases(t *testing.T) {
	c := cli{t, suite.Cluster(t)}
	const namespaced, userRoles = "--set=controller.namespaced=true,controller.replicas=0", "--filename=../../manifests/rbac/user-roles.yaml"
	c.kubectl("apply", "--kustomize=../../manifests/crd")
	c.kubectl("apply", userRoles)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.WithoutCancel(t.Context()), "delete", userRoles)
		assert.NoError(t, err)
	})
	for _, team := range []string{"team-a", "team-b"} {
		c.kubectl("create", "namespace", team)
		c.kubectl("create", "rolebinding", "admin", "--namespace="+team, "--clusterrole=admin", "--user="+team)
		c.kubectl("create", "role", "install", "--namespace="+team, "--verb=update",
			"--resource=miniclusters.flux-framework.org/status", "--resource=miniclusters.flux-framework.org/finalizers")
		c.kubectl("create", "rolebinding", "install", "--namespace="+team, "--role=install", "--user="+team)
		as := "--kube-as-user=" + team
		require.Eventually(t, func() bool { // the aggregation takes a moment
			_, err := c.Kubectl(t.Context(), "auth", "can-i", "delete", "miniclusters.flux-framework.org", "--namespace="+team, "--as="+team)
			return err == nil
		}, 5*time.Minute, 100*time.Millisecond)
		require.NoError(t, c.helm(team, "install", "minicluster", "charts/minicluster", namespaced, as))
		require.ErrorContains(t, c.helm(team, "install", "another", "charts/minicluster", namespaced, as),
			`the release "minicluster" in the namespace "`+team+`" already manages the MiniClusters of the namespace "`+team+`"`)
		require.NoError(t, c.helm(team, "upgrade", "minicluster", "charts/minicluster", namespaced, as, "--set=controller.extraArgs={--workers=5}"))
		assert.Contains(t, c.kubectl("get", "deployment", "minicluster-controller", "--namespace="+team, "--output=jsonpath={.spec.template.spec.containers[0].args}"),
			`"--workers=5","--namespaces=$(POD_NAMESPACE)"]`)
	}
	for _, team := range []string{"team-a", "team-b"} {
		require.NoError(t, c.helm(team, "uninstall", "minicluster", "--wait", "--kube-as-user="+team))
		for _, left := range c.leftovers(team) {
			assert.Regexp(t, "^(customresourcedefinition|clusterrole).*/minicluster", left)
		}
	}
}
