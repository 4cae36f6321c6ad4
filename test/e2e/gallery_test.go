package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// TestGalleryPages runs the pages of the gallery whose programs this node and the stand-in for Flux can run, and
// compares the logs with what the pages show. Other tests run the rest, as the pages say.
func TestGalleryPages(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	namespace := clustertest.Namespace(t, kube.Cluster)
	gallery := filepath.Join(root, "examples", "gallery")
	for _, name := range []string{"accounting", "batch", "launcher", "sidecar", "volumes", "own-image"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(gallery, name+".yaml"))
			require.NoError(t, err)
			// The image of the tests has Flux.
			document := regexp.MustCompile(`container: \{image: ghcr\S+\}`).ReplaceAllString(string(text), "container: {disable: true}")
			document = regexp.MustCompile(`(?m)^( *(?:- )?image: ).*`).ReplaceAllString(document, "${1}"+fluxImage)
			// No volumes are provisioned here.
			document = regexp.MustCompile(`claimName: \w+`).ReplaceAllString(document, "emptyDir: true")
			apply(t, kube, namespace, document)
			eventuallyCondition(t, kube, namespace, name, v1alpha2.ConditionComplete, metav1.ConditionTrue, "Complete")

			page, err := os.ReadFile(filepath.Join(gallery, name+".md"))
			require.NoError(t, err)
			commands := console(string(page))
			last := slices.IndexFunc(commands, func(c typed) bool { return strings.HasPrefix(c.command, "kubectl minicluster logs ") })
			shown := commands[last]
			out, err := pluginIn(t, kube, namespace, "", "logs", name)
			require.NoError(t, err)
			got, want := strings.Split(strings.TrimSpace(out), "\n"), strings.Split(strings.TrimSpace(shown.answer), "\n")
			if strings.HasSuffix(shown.command, "| sort") {
				slices.Sort(got)
			}
			assert.Equal(t, want, got)
		})
	}
}
