package e2e

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// imageVolumesDocument has a sidecar with the agent. It takes spec.flux.
const imageVolumesDocument = `
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: mounted}
spec:
  size: 2
  interactive: true
  flux: %s
  containers:
    - {image: ` + fluxImage + `, runFlux: true, resources: {limits: {cpu: 1}, requests: {cpu: 10m}}}
    - {name: wrapped, image: ` + fluxImage + `, command: exec sleep 1000}
`

// TestImageVolumes runs a MiniCluster of a controller with --image-volumes: the node mounts the image of the agent, the
// agent runs from it, and no init container is needed. The test creates the objects itself because the controller of
// the suite, which has no such flag, would take a MiniCluster for its own.
func TestImageVolumes(t *testing.T) {
	t.Parallel()
	for name, flux := range map[string]string{
		"system": "{installRoot: /usr}",
		"view":   "{container: {image: " + fluxImage + "}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testImageVolumes(t, fmt.Sprintf(imageVolumesDocument, flux))
		})
	}
}

func testImageVolumes(t *testing.T, document string) {
	t.Helper()
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	var mc v1alpha2.MiniCluster
	require.NoError(t, yaml.UnmarshalStrict([]byte(document), &mc))
	mc.Namespace, mc.UID = namespace, "5d1ff1e5-7d4e-4a57-8b3c-6d0a5c5a0001"
	v1alpha2.SetDefaults(&mc)
	environment := resources.Environment{
		ClusterDomain: "cluster.local", ImageVolumes: true,
		Agent: resources.AgentImage{PullPolicy: corev1.PullIfNotPresent},
	}
	objects, err := resources.Objects(&mc, resources.NewFixed(&mc), environment, rand.Reader, time.Now())
	require.NoError(t, err)
	var documents strings.Builder
	for _, object := range objects {
		accessor, err := meta.Accessor(object)
		require.NoError(t, err)
		accessor.SetOwnerReferences(nil) // the garbage collector deletes objects of an owner that does not exist
		text, err := yaml.Marshal(object)
		require.NoError(t, err)
		documents.WriteString("---\n" + string(text))
	}
	apply(t, kube, namespace, documents.String())

	pods := eventuallyPods(t, kube, namespace, "job-name=mounted", readyPatience, areReady(2))
	for _, pod := range pods {
		assert.Empty(t, pod.Spec.InitContainers)
		assert.Len(t, pod.Status.ContainerStatuses, 2)
	}
	eventuallyNodes(t, kube, pods[0], "free", 2)
	mounted := "/opt/minicluster-agent/minicluster-agent"
	assert.Equal(t, mounted+"\n", execute(t, kube, pods[0], "readlink", agent), "the documented path is a link")
	assert.Contains(t, execute(t, kube, pods[0], "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"), mounted+" run --image-volumes")
	_, err = kube.Exec(t.Context(), namespace, pods[0].Name, "", "touch", "/opt/minicluster-agent/new")
	assert.ErrorContains(t, err, "Read-only file system")
}
