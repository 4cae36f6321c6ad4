// Package controller_test runs the controller, with the rights of its own service
// account, against a real API server, Job controller and scheduler.
package controller_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	running = &controllerProcess{}
	// agents simulate the agents of simulated pods.
	agents user.Agents
	suite  = clustertest.New(cluster.Options{Audit: true},
		user.Manifests,
		running.setup,
	)
)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// controllerProcess is the one controller that the tests of this package share. Tests that stop it must not be
// parallel.
type controllerProcess struct {
	kube *cluster.Cluster
	// allowHostPath is a flag for the next start.
	allowHostPath bool
	// metrics is the address of its metrics.
	metrics string

	*programs.Program
}

func (p *controllerProcess) setup(ctx context.Context, kube *cluster.Cluster) error {
	p.kube = kube
	return p.launch(ctx)
}

func (p *controllerProcess) launch(ctx context.Context) error {
	port, err := process.FreePort(ctx)
	if err != nil {
		return err
	}
	p.metrics = fmt.Sprintf("127.0.0.1:%d", port)
	p.Program, err = programs.StartController(ctx, p.kube, programs.WithAgents(&agents), func(o *app.Options) {
		o.Site.AllowHostPathVolumes = p.allowHostPath
		o.MetricsAddress = p.metrics
	})
	return err
}

func (p *controllerProcess) start(t *testing.T) {
	t.Helper()
	require.NoError(t, p.launch(t.Context()))
}

// halt stops the controller and waits for its end.
func (p *controllerProcess) halt(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Stop(), "the controller ended with an error")
}

// exposed returns its metrics for Prometheus.
func (p *controllerProcess) exposed(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.metrics+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
