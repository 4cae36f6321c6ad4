package e2e

import (
	"bytes"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/util/exec"

	"minicluster.internal/operator/pkg/plugin"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
)

// pluginIn runs commands of the plugin in a namespace.
func pluginIn(t *testing.T, kube *node.Node, namespace, stdin string, args ...string) (string, error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := plugin.NewCommand(genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut})
	cmd.SetArgs(append([]string{"--kubeconfig=" + kube.Kubeconfig(), "--namespace=" + namespace}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String() + errOut.String(), err
}

// TestFirstJob checks that the first job of the README and the page of the first job print what they show.
func TestFirstJob(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples", "hello"), os.DirFS(filepath.Join(root, "examples", "hello"))))
	file := filepath.Join(dir, "examples", "hello", "minicluster.yaml")
	document, err := os.ReadFile(file)
	require.NoError(t, err)
	document = regexp.MustCompile(`image: ghcr\S+`).ReplaceAll(document, []byte("disable: true"))
	document = bytes.ReplaceAll(document, []byte("rockylinux:9"), []byte(fluxImage))
	require.NoError(t, os.WriteFile(file, document, 0o600))
	build := osexec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dir, "bin", "kubectl-minicluster"), "./cmd/kubectl-minicluster")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	built, err := build.CombinedOutput()
	require.NoError(t, err, string(built))
	shell := newTerminal(kube, dir)
	shell.env = append(shell.env, "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+filepath.Dir(kube.KubectlPath())+string(os.PathListSeparator)+os.Getenv("PATH"))

	t.Run("README", func(t *testing.T) {
		page, err := os.ReadFile(filepath.Join(root, "README.md"))
		require.NoError(t, err)
		_, section, found := strings.Cut(string(page), "## Run the first job")
		require.True(t, found)
		section, _, _ = strings.Cut(section, "\n## ")
		commands := console(section)
		assert.LessOrEqual(t, len(commands), 6)
		// The others install the operator and the plugin, which the test has done.
		commands = slices.DeleteFunc(commands, func(c typed) bool { return !strings.HasPrefix(c.command, "kubectl minicluster") })
		require.Len(t, commands, 2)
		replayPlugin(t, kube, shell, clustertest.Namespace(t, kube.Cluster), commands)
	})
	t.Run("page", func(t *testing.T) {
		page, err := os.ReadFile(filepath.Join(root, "examples", "hello", "README.md"))
		require.NoError(t, err)
		namespace := clustertest.Namespace(t, kube.Cluster)
		commands := console(string(page))
		assert.Greater(t, len(commands), 6)
		replayPlugin(t, kube, shell, namespace, commands)
		t.Run("the other commands", func(t *testing.T) { otherCommands(t, kube, namespace) })
	})
}

// replayPlugin runs commands in a namespace, with the image that the node has.
func replayPlugin(t *testing.T, kube *node.Node, shell terminal, namespace string, commands []typed) {
	t.Helper()
	for _, one := range commands {
		line := strings.ReplaceAll(one.command, "--image ubuntu:24.04", "--image "+fluxImage+" --flux-in-image")
		line = strings.NewReplacer("kubectl minicluster ", "kubectl minicluster --namespace="+namespace+" ",
			"kubectl apply ", "kubectl --namespace="+namespace+" apply ", "kubectl wait ", "kubectl --namespace="+namespace+" wait ").Replace(line)
		// Progress is on the standard error: it depends on the speed of the machine.
		var progress bytes.Buffer
		cmd := shell.command(t.Context(), line)
		cmd.Stderr = &progress
		output, err := cmd.Output()
		require.NoError(t, err, "%s: %s\n%s", line, &progress, report(t, kube, namespace))
		assert.Equal(t, strings.TrimSpace(one.answer), strings.TrimSpace(string(output)), one.command)
	}
}

// otherCommands runs the commands that the page does not show, in the cluster that it leaves.
func otherCommands(t *testing.T, kube *node.Node, namespace string) {
	out, err := pluginIn(t, kube, namespace, "", "status", "sample")
	require.NoError(t, err)
	assert.Contains(t, out, "3 requested, 3 exist, 3 ready; bounds 1-4")
	assert.Contains(t, out, "Ranks       0 busy, 3 idle or drained, 1 offline of 4")
	out, err = pluginIn(t, kube, namespace, "echo from $(hostname)\nflux getattr rank\n", "connect", "sample")
	require.NoError(t, err)
	assert.Equal(t, "from sample-0\n0\n", out)
	_, err = pluginIn(t, kube, namespace, "", "run", "sample", "sh", "-c", "exit 42")
	var exit exec.CodeExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 42, exit.Code)
	out, err = pluginIn(t, kube, namespace, "", "jobs", "sample", "-a", "-no", "{status}")
	require.NoError(t, err)
	assert.Contains(t, out, "FAILED\n")
	archive := filepath.Join(t.TempDir(), "sample.tar")
	out, err = pluginIn(t, kube, namespace, "", "dump", "sample", archive)
	require.NoError(t, err, out)
	saved, err := os.ReadFile(archive)
	require.NoError(t, err)
	assert.Contains(t, string(saved), `{"jobs":[`, "Fake Flux saves its jobs; restore is tested with the real Flux")
	out, err = pluginIn(t, kube, namespace, "", "doctor", "sample")
	require.NoError(t, err, out)
	assert.Contains(t, out, "ok       controller   Deployment minicluster-system/minicluster-controller is available and has a leader")
	assert.Contains(t, out, "ok       pods         3 of 3 are ready")
	out, err = pluginIn(t, kube, namespace, "", "scale", "sample", "9")
	require.ErrorContains(t, err, "size 9", out)
	out, err = pluginIn(t, kube, namespace, "", "version")
	require.NoError(t, err)
	assert.Contains(t, out, "Controller:  minicluster-system/minicluster-controller")
}
