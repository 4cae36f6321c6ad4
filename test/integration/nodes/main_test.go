// Package nodes_test runs the controller with --watch-nodes and exactly the rights of manifests/nodes, against a real
// API server, scheduler, and disruption controller. Nodes and agents are simulated.
package nodes_test

import (
	"context"
	"os"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	// agents simulate the agents of simulated pods.
	agents user.Agents
	suite  = clustertest.New(cluster.Options{Nodes: 12, Audit: true},
		user.Manifests,
		clustertest.Apply("manifests/nodes/role.yaml"),
		start,
	)
	// running is the controller.
	running *programs.Program
)

// start starts the controller.
func start(ctx context.Context, kube *cluster.Cluster) (err error) {
	running, err = programs.StartController(ctx, kube, programs.WithAgents(&agents), func(o *app.Options) {
		o.WatchNodes, o.IdleEvictionDelay = true, 2*time.Second
	})
	return err
}

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
