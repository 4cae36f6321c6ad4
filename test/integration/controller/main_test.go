// Package controller_test runs the controller, with the rights of its own service
// account, against a real API server, Job controller and scheduler.
package controller_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/cluster"
	"minicluster.internal/operator/test/cluster/clustertest"
	"minicluster.internal/operator/test/integration/user"
)

var (
	running = &controllerProcess{}
	// agents answer for those of simulated pods.
	agents user.Agents
	suite  = clustertest.New(cluster.Options{Audit: true},
		user.Manifests,
		running.setup,
	)
)

func TestMain(m *testing.M) {
	code := suite.Run(m)
	os.Exit(code)
}

// controllerProcess is the one controller that the tests of this package share. It
// runs in this process, so that the race detector sees it. Tests that stop it must
// not be parallel.
type controllerProcess struct {
	kubeconfig string
	// allowHostPath is a flag of the next start.
	allowHostPath bool

	stop context.CancelFunc
	done chan error
}

func (p *controllerProcess) setup(_ context.Context, kube *cluster.Cluster) error {
	kubeconfig, err := kube.KubeconfigFor(user.Controller, user.ControllerGroups...)
	if err != nil {
		return err
	}
	p.kubeconfig = kubeconfig
	p.start()
	return nil
}

func (p *controllerProcess) start() {
	// Not the context of a test: the controller outlives it.
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.done = stop, make(chan error, 1)
	o := app.NewOptions()
	o.Kubeconfig = p.kubeconfig
	o.AllowHostPathVolumes = p.allowHostPath
	o.HealthAddress, o.MetricsAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.NewAgent = agents.Connect
	o.LeaderElection.ResourceNamespace = "minicluster-system"
	go func() { p.done <- app.Run(ctx, o) }()
}

// halt stops the controller and waits until it has.
func (p *controllerProcess) halt(t *testing.T) {
	t.Helper()
	p.stop()
	if err := <-p.done; err != nil {
		t.Fatal(fmt.Errorf("the controller ended badly: %w", err))
	}
}
