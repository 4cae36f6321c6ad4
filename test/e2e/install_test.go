package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// needsEngine matches the commands of docs/install.md that need a container engine.
var needsEngine = regexp.MustCompile(`^(kind|minikube) `)

// TestInstallPage runs the commands of docs/install.md. It replaces the controller, so it runs alone, and installs that
// of the other tests again.
func TestInstallPage(t *testing.T) {
	kube := suite.Node(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	require.NoError(t, err)
	namespace := clustertest.Namespace(t, kube.Cluster)
	t.Cleanup(func() { require.NoError(t, installController(context.WithoutCancel(t.Context()), kube)) })

	document, err := os.ReadFile(filepath.Join(root, "examples", "hello", "minicluster.yaml"))
	require.NoError(t, err)
	document = regexp.MustCompile(`image: ghcr\S+`).ReplaceAll(document, []byte("disable: true"))
	document = bytes.ReplaceAll(document, []byte("rockylinux:9"), []byte(fluxImage))
	example := filepath.Join(t.TempDir(), "minicluster.yaml")
	require.NoError(t, os.WriteFile(example, document, 0o600))

	shell := newTerminal(kube, root)
	done, skipped := map[string]bool{}, 0
	for _, one := range console(string(page)) {
		line := strings.NewReplacer("examples/hello/minicluster.yaml", example, "kubectl ", "kubectl --namespace="+namespace+" ").Replace(one.command)
		switch {
		case needsEngine.MatchString(line):
			skipped++
			if _, archive, found := strings.Cut(line, " load "); found {
				archive = strings.TrimPrefix(archive, "image-archive ")
				require.NoError(t, kube.Import(t.Context(), filepath.Join(root, archive)))
			}
			continue
		case done[line]: // both ways begin alike
			continue
		}
		done[line] = true
		cmd := shell.command(t.Context(), line)
		var messages bytes.Buffer
		cmd.Stderr = &messages
		output, err := cmd.Output()
		require.NoError(t, err, "%s: %s%s\n%s", line, output, &messages, report(t, kube, namespace))
		if one.answer != "" {
			assert.Equal(t, strings.TrimSpace(one.answer), strings.TrimSpace(string(output)), one.command)
		}
	}
	assert.Len(t, done, 5)
	assert.Equal(t, 4, skipped)
}
