package app

import (
	"context"

	"github.com/spf13/cobra"

	"minicluster.internal/operator/pkg/cmdutil"
)

// NewCommand makes the command of the metrics API server.
func NewCommand() *cobra.Command {
	o := NewOptions()
	return cmdutil.NewCommand(&cobra.Command{
		Use:   "minicluster-metrics",
		Short: "Serves metrics of MiniClusters to autoscalers",
		Long: `minicluster-metrics serves custom.metrics.k8s.io and external.metrics.k8s.io:
what Flux says of the queue and the nodes of every MiniCluster, what the
Kubernetes cluster leaves free, and what a Prometheus answers. It also serves a
page that shows this to people.`,
		Example: `  # Beside KEDA, which serves external.metrics.k8s.io itself:
  minicluster-metrics --apis=custom
  # Leave 15% of the cores free, and make metrics of queries of a Prometheus:
  minicluster-metrics --capacity-reserve=15% --prometheus-url=http://prometheus.monitoring:9090`,
	}, o, func(ctx context.Context) error { return Run(ctx, o) })
}
