// Package metricsapi_test runs the metrics API server, with the rights of its service account, behind the real
// aggregator. The autoscaler is real, and the agents are simulated.
package metricsapi_test

import (
	"os"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	agents user.Expositions
	// leads answer the controller.
	leads user.Agents
	// running are the options of the metrics API server that the tests share.
	running *app.Options
	suite   = clustertest.New(cluster.Options{
		Nodes: 2,
		ControllerManagerArgs: []string{
			"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=2s",
		},
	}, user.Manifests, programs.MetricsManifests, programs.Controller(programs.WithAgents(&leads)), programs.Metrics(asksAgents, func(o *app.Options) { running = o }))
)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// asksAgents makes a metrics API server query the simulated agents, at short intervals.
func asksAgents(o *app.Options) {
	o.CollectInterval /= 10
	o.RegistrationInterval = time.Second
	o.Address = agents.Address
}
