package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// exampleImage is the image in the examples and tutorials.
const exampleImage = "ghcr.io/flux-framework/flux-restful-api:latest"

// example returns the documents of a folder of examples, with the image of these tests.
func example(t *testing.T, kube *node.Node, folder string) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	documents, err := kube.Kubectl(t.Context(), "kustomize", filepath.Join(root, "examples", filepath.FromSlash(folder)))
	require.NoError(t, err)
	require.Contains(t, documents, exampleImage)
	return strings.ReplaceAll(documents, exampleImage, fluxImage)
}

// exampleNamespace creates the namespace of the examples, and deletes the objects of an example after the test.
func exampleNamespace(t *testing.T, kube *node.Node, documents string) string {
	t.Helper()
	const namespace = "flux-operator"
	_, err := kube.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	t.Cleanup(func() { deleteDocuments(t, kube, documents) })
	return namespace
}

// TestApplicationScalesItself applies examples/elasticity/basic as a user does, and checks its log.
func TestApplicationScalesItself(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	documents := example(t, kube, "elasticity/basic")
	namespace := exampleNamespace(t, kube, documents)
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

	pod := func(index string) string {
		return `\d+\.\d+\.\d+\.\d+ +flux-operator flux-sample-` + index + `-[a-z0-9]{5}\n`
	}
	seen := func(size string, indexes ...string) string {
		text := "\n   size: " + size + "\nmaxSize: 10\nWho is out there[?]\n"
		for _, index := range indexes {
			text += pod(index)
		}
		return text
	}
	ok := assert.Regexp(t, `^I run on flux-sample-0\. Which MiniCluster of namespace flux-operator is mine\?\nflux-sample: this one\n`+
		seen("2", "0", "1")+"\nI ask for 4.\n"+seen("4", "0", "1", "2", "3")+"\nI ask for 3.\n"+seen("3", "0", "1", "2")+"\nDone.\n$", log)
	if !ok {
		t.Log(report(t, kube, namespace))
	}
}

// ask sends a request to the API server from a pod, like the tutorial's client in another language. It returns the
// code of the response.
func ask(t *testing.T, kube *node.Node, from corev1.Pod, method, path, patch string) string {
	t.Helper()
	const script = `account=/var/run/secrets/kubernetes.io/serviceaccount
curl --silent --output /dev/null --write-out '%{http_code}' --cacert $account/ca.crt --request "$0" \
	--header "Authorization: Bearer $(cat $account/token)" --header 'Content-Type: application/merge-patch+json' \
	--data "$2" "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT$1"`
	return execute(t, kube, from, "sh", "-c", script, method, path, patch)
}

// TestRightsOfAnApplication checks what the account of the example may do from inside a pod, and what it may not:
// above all, scale another MiniCluster.
func TestRightsOfAnApplication(t *testing.T) {
	kube, namespace := shared(t)
	documents := strings.ReplaceAll(example(t, kube, "elasticity/basic"), "flux-operator", namespace)
	documents = strings.ReplaceAll(documents, "size: 2\n", "size: 2\n  interactive: true\n")
	apply(t, kube, namespace, documents)
	apply(t, kube, namespace, interactive("neighbour", 1)+"  network: {headlessName: neighbour}\n")
	pods := eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(2))
	eventuallyPods(t, kube, namespace, user.Selector("neighbour"), readyPatience, areReady(1))

	base := "/apis/flux-framework.org/v1alpha1/namespaces/" + namespace + "/miniclusters"
	const size = `{"spec":{"size":4}}`
	for _, tc := range []struct{ method, path, patch, want string }{
		{"GET", base, "", "200"},
		{"GET", base + "/flux-sample", "", "200"},
		{"GET", "/api/v1/namespaces/" + namespace + "/pods", "", "200"},
		{"PATCH", base + "/flux-sample", size, "200"},
		{"GET", base + "/neighbour", "", "403"},
		{"PATCH", base + "/neighbour", size, "403"},
		{"PATCH", base + "/neighbour/scale", size, "403"},
		{"PATCH", base + "/flux-sample/status", `{"status":{"size":4}}`, "403"},
		{"DELETE", base + "/flux-sample", "", "403"},
		{"GET", "/api/v1/namespaces/" + namespace + "/secrets", "", "403"},
		{"DELETE", "/api/v1/namespaces/" + namespace + "/pods/" + pods[1].Name, "", "403"},
		{"GET", "/apis/flux-framework.org/v1alpha1/miniclusters", "", "403"},
		{"GET", "/api/v1/namespaces/" + systemNamespace + "/pods", "", "403"},
	} {
		assert.Equal(t, tc.want, ask(t, kube, pods[1], tc.method, tc.path, tc.patch), "%s %s", tc.method, tc.path)
	}
	eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(4))
	assert.EqualValues(t, 1, *getMiniCluster(t.Context(), t, kube, namespace, "neighbour").Spec.Size)
}

// TestTutorialConsole follows the scaling tutorials in the terminal of the lead's pod and checks the nodes in Flux.
func TestTutorialConsole(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	for _, tutorial := range []struct {
		name  string
		steps []consoleStep
	}{
		{"basic", []consoleStep{{4, "flux-sample-[0-3]", ""}, {3, "flux-sample-[0-2]", "flux-sample-3"}, {4, "flux-sample-[0-3]", ""}}},
		{"expand", []consoleStep{{2, "flux-sample-[0-1]", "flux-sample-[2-3]"}, {4, "flux-sample-[0-3]", ""}, {1, "flux-sample-0", "flux-sample-[1-3]"}}},
	} {
		t.Run(tutorial.name, func(t *testing.T) {
			t.Parallel()
			namespace := clustertest.Namespace(t, kube.Cluster)
			root, err := kubebin.Root(".")
			require.NoError(t, err)
			text, err := os.ReadFile(filepath.Join(root, "examples", "scaling", tutorial.name, "minicluster.yaml"))
			require.NoError(t, err)
			documents := strings.NewReplacer(exampleImage, fluxImage, "namespace: flux-operator", "namespace: "+namespace).Replace(string(text))
			for _, step := range tutorial.steps {
				apply(t, kube, namespace, regexp.MustCompile(`(?m)^  size: \d+$`).ReplaceAllString(documents, fmt.Sprintf("  size: %d", step.size)))
				pods := eventuallyPods(t, kube, namespace, user.Selector("flux-sample"), readyPatience, areReady(step.size))
				want := []string{
					fmt.Sprintf("free %d %s", step.size, step.free),
					"allocated 0",
					strings.TrimSpace(fmt.Sprintf("down %d %s", 4-step.size, step.down)),
				}
				assert.EventuallyWithT(t, func(c *assert.CollectT) {
					out, err := kube.Exec(t.Context(), namespace, pods[0].Name, "", agent, "flux", "--", "resource", "list")
					assert.NoError(c, err)
					assert.Equal(c, want, nodesByState(out))
				}, readyPatience, 10*pollInterval)
			}
		})
	}
}

// consoleStep is a size, and the hosts that Flux then reports as free and down.
type consoleStep struct {
	size       int
	free, down string
}

// nodesByState returns the state, the number and the names of nodes in the lines of `flux resource list`. The cores
// are those of this machine, and newer versions of Flux also print GPUs.
func nodesByState(output string) []string {
	var lines []string
	for line := range strings.Lines(output) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] == "STATE" {
			continue
		}
		last := words[len(words)-1]
		words = words[:2]
		if strings.HasPrefix(last, "flux-sample") {
			words = append(words, last)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}
