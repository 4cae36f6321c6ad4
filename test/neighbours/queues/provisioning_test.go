package queues

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// TestProvisioningRequest replays the example of ProvisioningRequests, with cluster-autoscaler's definition of them but
// without cluster-autoscaler.
func TestProvisioningRequest(t *testing.T) {
	f := newFixture(t)
	root, err := neighbour.Root()
	require.NoError(t, err)
	apis := neighbour.Kueue()
	apis.Module = "k8s.io/autoscaler/cluster-autoscaler/apis" // which Kueue depends on
	source, err := apis.Source(t.Context(), root)
	require.NoError(t, err)
	_, err = f.Cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", filepath.Join(source, "config", "crd", "autoscaling.x-k8s.io_provisioningrequests.yaml"))
	require.NoError(t, err)
	f.Kubectl("wait", "--for=condition=Established", "crd/provisioningrequests.autoscaling.x-k8s.io")

	provisioned := make(chan error, 1)
	go func() { provisioned <- f.provide() }()
	replay(t, f.Cluster, f.Namespace, "examples/queues/provisioning/README.md")
	require.NoError(t, <-provisioned)
	f.WaitFor("flux-sample", f.Ready(4))
	for _, pod := range f.pods("flux-sample") {
		assert.Equal(t, "flux-sample", pod.Annotations["autoscaling.x-k8s.io/consume-provisioning-request"])
	}
}

// provide sets the condition that cluster-autoscaler sets when it has provided the nodes. No pod may exist before.
func (f *fixture) provide() error {
	const status = `{"status":{"conditions":[{"type":"Provisioned","status":"True","reason":"Test","message":"","lastTransitionTime":"2026-11-29T00:00:00Z"}]}}`
	return user.Until(f.Context(), f.Interval, "the request", func(ctx context.Context) (string, error) {
		pods, err := user.ListPods(ctx, f.Kube, f.Namespace, user.Selector("flux-sample"))
		if err != nil || len(pods) > 0 {
			return "there are pods", err
		}
		_, err = f.Cluster.Kubectl(ctx, "patch", "provisioningrequest", "flux-sample", "--namespace="+f.Namespace, "--subresource=status", "--type=merge", "-p", status)
		return "", err
	})
}
