// Package capacity_test computes the free capacity of simulated nodes and lets a MiniCluster use it. The scheduler
// and the autoscaler are real; the controller and the metrics API server run with their own rights.
package capacity_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var (
	nodes   = flag.Int("capacity-nodes", 6, "simulated nodes; six of them have 184 cores, others 64 each")
	pods    = flag.Int("capacity-pods", 120, "pods of TestChurn")
	changes = flag.Int("capacity-changes", 100, "number of changes in TestChurn, 50 a second")
	binary  = flag.String("capacity-program", "", "path of minicluster-metrics, to run in addition: TestChurn compares its numbers too, and logs its cost")

	// agents simulate the agents of simulated pods.
	agents user.Agents

	suite = clustertest.New(cluster.Options{
		Nodes:                 -1,
		ControllerManagerArgs: []string{"--horizontal-pod-autoscaler-sync-period=1s"},
	}, addNodes, user.Manifests, programs.MetricsManifests, programs.Controller(programs.WithAgents(&agents)), programs.Metrics())
)

// patience is the timeout of waits for something that should happen soon.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(suite.Run(m))
}

// addNodes creates the nodes of the tutorial, of 24 to 32 cores, unless the flag sets another number.
func addNodes(ctx context.Context, kube *cluster.Cluster) error {
	for i := range *nodes {
		cpus := int64(64)
		if *nodes == 6 {
			cpus = []int64{32, 32, 32, 32, 32, 24}[i]
		}
		name := fmt.Sprintf("node-%d", i)
		has := corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewQuantity(cpus, resource.DecimalSI),
			corev1.ResourceMemory: resource.MustParse("80Gi"),
			corev1.ResourcePods:   resource.MustParse("110"),
		}
		_, err := kube.Client().CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
			Status:     corev1.NodeStatus{Capacity: has, Allocatable: has},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("creating a simulated node: %w", err)
		}
	}
	if err := kube.WaitForNodes(ctx); err != nil {
		return fmt.Errorf("waiting for the nodes: %w", err)
	}
	return nil
}
