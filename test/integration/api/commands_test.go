package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/console"
)

// commandsToType are the pages whose kubectl commands TestCommandsOfPages runs, with those that it does not run, by
// their beginning, and why.
var commandsToType = map[string]map[string]string{
	"docs/nodes.md": nil,
	"docs/runbook.md": {
		"kubectl get miniclusters -A -o json | jq": "needs jq",
		"kubectl apply -f miniclusters.json":       "the file is that of the command before",
	},
	"docs/operations.md": {
		"kubectl apply -k":        "the end-to-end tests install these folders; TestKustomizations builds all",
		"kubectl auth can-i":      "by the test of the controller's rights",
		"make ":                   "by the end-to-end test of docs/install.md",
		"for part in":             "TestKustomizations builds these folders",
		"bin/minicluster-control": "it runs until it is stopped; the integration tests run it like this",
		"helm install":            "the tests of charts/ run Helm's engine",
	},
}

// TestCommandsOfPages runs the kubectl commands of pages for administrators: kubectl accepts them, and the objects that
// they select and change exist or may be missing as in a real cluster. What they are for is tested elsewhere.
func TestCommandsOfPages(t *testing.T) {
	t.Parallel()
	for page, skip := range commandsToType {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t)
			n.create("v1alpha2", minimal)
			n.kubectl("create", "secret", "generic", "flux-curve-0a1b2c3d")
			n.kubectl("create", "job", "flux", "--image=none")
			uid := n.kubectl("get", "minicluster", "flux", "-o", "jsonpath={.metadata.uid}")
			placeholders := strings.NewReplacer("NAMESPACE", n.name, "NAME-curve-...", "flux-curve-0a1b2c3d", "NAME", "flux", "UID", uid,
				// Other tests run beside this one.
				" -A", "")
			text, err := os.ReadFile(manifest(t, page))
			require.NoError(t, err)
			used := map[string]bool{}
			var last []string
			for _, command := range console.Parse(string(text)) {
				beginning := ""
				for b := range skip {
					if strings.HasPrefix(command.Line, b) {
						beginning = b
					}
				}
				line := placeholders.Replace(command.Line)
				switch {
				case beginning != "":
					used[beginning] = true
				case strings.Contains(line, "delete miniclusters") || strings.Contains(line, "delete namespace"):
					last = append(last, line)
				default:
					n.shell(line)
				}
			}
			for _, line := range last {
				n.shell(line)
			}
			for b := range skip {
				assert.True(t, used[b], "%s has no command %q", page, b)
			}
		})
	}
}

// shell runs a command line, which must succeed.
func (n *namespace) shell(line string) {
	n.Helper()
	script := "set -e -o pipefail\nkubectl() { " + n.kube.KubectlPath() + ` "$@"; }` + "\n" + line
	shell := exec.CommandContext(n.Context(), "bash", "-c", script)
	shell.Env = append(os.Environ(), "KUBECONFIG="+n.kubeconfig())
	out, err := shell.CombinedOutput()
	assert.NoError(n, err, "%s: %s", line, out)
	n.Logf("%s: %s", line, out)
}

// kubeconfig writes a configuration whose namespace is that of the test.
func (n *namespace) kubeconfig() string {
	n.Helper()
	text, err := os.ReadFile(n.kube.Kubeconfig())
	require.NoError(n, err)
	file := filepath.Join(n.TempDir(), "kubeconfig")
	require.NoError(n, os.WriteFile(file, text, 0o600))
	_, err = n.kube.Kubectl(n.Context(), "config", "--kubeconfig="+file, "set-context", "--current", "--namespace="+n.name)
	require.NoError(n, err)
	return file
}
