package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/python"
	"minicluster.internal/operator/test/framework/testimages"
	"minicluster.internal/operator/test/framework/user"
)

// TestPythonFlux runs a program with the Python package: Flux commands in a MiniCluster, and the log of another one.
func TestPythonFlux(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	out, err := python.Run(t.Context(), program, root,
		[]string{"KUBECONFIG=" + python.Kubeconfig(t, kube.Cluster, namespace, "researcher", "system:masters")},
		filepath.Join(root, "test", "e2e", "testdata", "python.py"), fluxImage)
	require.NoError(t, err, "%s\n%s", out, report(t, kube, namespace))
	assert.Equal(t, `['', 'task 0', 'task 1']
ƒ größer
3
3 True
['1', '2', '3'] ['3']
`, out)
}

// TestPythonInPod applies examples/elasticity/python as a user does. The program runs in the pod of the lead with
// Debian's client, and prints what the page shows.
func TestPythonInPod(t *testing.T) {
	t.Parallel()
	program := python.Need(t)
	kube := suite.Node(t)
	require.NoError(t, testimages.ImportPython(t.Context(), kube, program))
	// The image has the client; the namespace of the example belongs to another test.
	namespace := clustertest.Namespace(t, kube.Cluster)
	documents := strings.NewReplacer(fluxImage, testimages.Python, "pip install kubernetes", "\"true\"", "flux-operator", namespace).
		Replace(example(t, kube, "elasticity/python"))
	begin := time.Now()
	apply(t, kube, namespace, documents)
	mc := eventuallyCondition(t, kube, namespace, "flux-sample", v1alpha2.ConditionComplete, metav1.ConditionTrue, "Complete")
	t.Logf("2, 4 and 3 pods in %.2f s", time.Since(begin).Seconds())
	assert.EqualValues(t, 3, *mc.Spec.Size)
	pods, err := user.ListPods(t.Context(), kube.Client(), namespace, user.Selector("flux-sample"))
	require.NoError(t, err)
	require.NotEmpty(t, pods)
	log, err := kube.Logs(t.Context(), namespace, pods[0].Name, "")
	require.NoError(t, err)

	root, err := kubebin.Root(".")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "examples", "elasticity", "python", "README.md"))
	require.NoError(t, err)
	_, want, found := strings.Cut(string(page), "--tail=-1 -f\n")
	require.True(t, found)
	want, _, found = strings.Cut(want, "```")
	require.True(t, found)
	same := regexp.MustCompile(`(?m)^\d+\.\d+\.\d+\.\d+ +|-[a-z0-9]{5}$`)
	assert.Equal(t, same.ReplaceAllString(want, ""), same.ReplaceAllString(strings.ReplaceAll(log, namespace, "flux-operator"), ""))
}
