// Package python_test runs the tests of the Python package, and the tutorial in Python, with a real API server and
// controller. The pods are simulated.
package python_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/python"
	"minicluster.internal/operator/test/framework/user"
)

// namespace is that of the examples.
const namespace = "flux-operator"

var (
	agents user.Agents
	suite  = clustertest.New(cluster.Options{}, user.Manifests, programs.Controller(programs.WithAgents(&agents)))
)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// rights are those of the account "inside", for which a client with the files of a pod is tested.
const rights = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: inside}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: inside}
rules:
  - {apiGroups: [flux-framework.org], resources: [miniclusters], resourceNames: [inside], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: inside}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: inside}
subjects: [{kind: ServiceAccount, name: inside}]
`

// TestPackage runs the tests in python/tests, none of which may be skipped for a missing API server.
func TestPackage(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	f := user.NewFixture(t, suite.Cluster(t))
	agents.Of("winter").Saves(control.HibernateState{Pending: 3, Demand: 1, Location: "/state/archive.tar"})
	f.Apply(strings.ReplaceAll(rights, "name: inside}]", "name: inside, namespace: "+f.Namespace+"}]"))
	out, err := python.Run(t.Context(), program, root, []string{
		"KUBECONFIG=" + python.Kubeconfig(t, f.Cluster, f.Namespace, "researcher", "system:masters"),
		"MINICLUSTER_TEST_NAMESPACE=" + f.Namespace,
		"MINICLUSTER_TEST_ACCOUNT=" + account(t, f),
		"MINICLUSTER_TEST_SERVER=" + strings.TrimPrefix(config(t, f).Host, "https://"),
	},
		// The official client leaves its connections open.
		"-W", "ignore::ResourceWarning", "-m", "unittest", "discover", "--verbose", "--start-directory", "tests", "--top-level-directory", ".")
	require.NoError(t, err, out)
	assert.NotContains(t, out, "names no namespace", "no API server")
	t.Log(out)
}

// account writes the files of a service account as a pod has them.
func account(t *testing.T, f *user.Fixture) string {
	t.Helper()
	token, err := f.Kube.CoreV1().ServiceAccounts(f.Namespace).CreateToken(t.Context(), "inside",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"token": []byte(token.Status.Token), "namespace": []byte(f.Namespace), "ca.crt": config(t, f).CAData,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

func config(t *testing.T, f *user.Fixture) *rest.Config {
	t.Helper()
	config, err := f.Cluster.ConfigFor("nobody")
	require.NoError(t, err)
	return config
}

// TestPythonTutorial applies examples/elasticity/python as a user does, runs its program as the account of the pods,
// and compares what it prints with the page.
func TestPythonTutorial(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	kube := suite.Cluster(t)
	f := user.FixtureIn(t, kube, namespace)
	_, err = kube.Kubectl(t.Context(), "create", "namespace", namespace)
	require.NoError(t, err)
	folder := filepath.Join(root, "examples", "elasticity", "python")
	_, err = kube.Kubectl(t.Context(), "apply", "--kustomize", folder)
	require.NoError(t, err)
	f.WaitFor("flux-sample", f.Ready(2))

	page, err := os.ReadFile(filepath.Join(folder, "README.md"))
	require.NoError(t, err)
	_, want, found := strings.Cut(string(page), "--tail=-1 -f\n")
	require.True(t, found)
	want, _, found = strings.Cut(want, "```")
	require.True(t, found)

	out, err := python.Run(t.Context(), program, root, []string{
		"HOSTNAME=flux-sample-0",
		"KUBECONFIG=" + python.Kubeconfig(t, kube, namespace, cluster.ServiceAccountUser(namespace, "flux-sample")),
	}, filepath.Join(folder, "elastic.py"))
	require.NoError(t, err, out)
	assert.Equal(t, anonymous(want), anonymous(out))
}

// anonymous replaces the addresses and the suffixes of pods, which are different each time.
func anonymous(text string) string {
	text = regexp.MustCompile(`(?m)^\d+\.\d+\.\d+\.\d+ +`).ReplaceAllString(text, "ADDRESS ")
	return regexp.MustCompile(`(?m)-[a-z0-9]{5}$`).ReplaceAllString(text, "-SUFFIX")
}
