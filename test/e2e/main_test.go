// Package e2e tests the product as it is installed in a cluster: the controller is a Deployment with its own image and
// rights, and the pods of MiniClusters run on a real node, with Services and DNS. Where there is no real Flux,
// test/framework/fakeflux replaces it.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/node/nodetest"
	"minicluster.internal/operator/test/framework/testimages"
)

const (
	systemNamespace = "minicluster-system"
	controllerName  = "minicluster-controller"
	fluxImage       = testimages.Flux
)

var suite = nodetest.New(node.Options{MetricsServer: true}, testimages.Import, installController, installMetrics, tellMetrics)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// installController installs the controller like a user.
func installController(ctx context.Context, kube *node.Node) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	if err := kube.Apply(ctx, filepath.Join(root, "test", "e2e", "testdata", "install")); err != nil {
		return err
	}
	_, err = kube.Kubectl(ctx, "rollout", "status", "deployment", controllerName, "--namespace="+systemNamespace, "--timeout="+readyPatience.String())
	if err != nil {
		pods, describeErr := kube.Kubectl(ctx, "describe", "pods", "--namespace="+systemNamespace)
		return errors.Join(fmt.Errorf("waiting for the controller: %w\n%s", err, pods), describeErr)
	}
	return nil
}
