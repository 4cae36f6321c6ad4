// Package nodes_test runs the controller with --watch-nodes beside the real Karpenter, scheduler and API server. The
// machines that Karpenter buys, the pods on them and their agents are simulated.
package nodes_test

import (
	"context"
	"os"
	"testing"
	"time"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/karpenter"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// idleDelay is the flag --idle-eviction-delay, which is minutes otherwise.
const idleDelay = 2 * time.Second

var (
	// agents simulate the agents of simulated pods.
	agents user.Agents
	// suite has no node: Karpenter buys all of them.
	suite = clustertest.New(cluster.Options{Nodes: -1},
		user.Manifests,
		clustertest.Apply("manifests/nodes/role.yaml"),
		programs.Controller(programs.WithAgents(&agents), func(o *app.Options) {
			o.WatchNodes, o.IdleEvictionDelay, o.PodDiagnosisDelay = true, idleDelay, 2*time.Second
		}),
		startKarpenter,
	)
)

// startKarpenter starts Karpenter, which ends with this process.
func startKarpenter(ctx context.Context, kube *cluster.Cluster) error {
	options, err := karpenter.Build(ctx, os.Stderr)
	if err != nil {
		return err
	}
	_, err = karpenter.Start(ctx, kube, options)
	return err
}

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
