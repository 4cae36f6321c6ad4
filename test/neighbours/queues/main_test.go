package queues

import (
	"context"
	"os"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	// agents simulate the agents of simulated pods.
	agents user.Agents
	suite  = clustertest.New(cluster.Options{}, user.Manifests, start)
	kueue  *Kueue
)

// start starts Kueue and the controller.
func start(ctx context.Context, kube *cluster.Cluster) (err error) {
	if kueue, err = Start(ctx, kube, nil, map[string]bool{"ElasticJobsViaWorkloadSlices": true}); err != nil {
		return err
	}
	_, err = programs.StartController(ctx, kube, programs.WithAgents(&agents))
	return err
}

func TestMain(m *testing.M) {
	onNode.suite = clustertest.NewWith(onNode.start)
	code := clustertest.Run(m, suite, onNode.suite)
	if kueue != nil {
		_ = kueue.Stop()
	}
	os.Exit(code)
}
