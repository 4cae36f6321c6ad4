package app

import (
	"context"

	"github.com/spf13/cobra"

	"minicluster.internal/operator/pkg/cmdutil"
)

// NewCommand returns the command of the metrics API server.
func NewCommand() *cobra.Command {
	o := NewOptions()
	return cmdutil.NewCommand(&cobra.Command{
		Use:   "minicluster-metrics",
		Short: "Serves metrics of MiniClusters to autoscalers",
		Long: `minicluster-metrics serves custom.metrics.k8s.io and external.metrics.k8s.io:
metrics of the jobs and nodes of every MiniCluster as Flux reports them, metrics
of the free capacity of the Kubernetes cluster, and results of Prometheus
queries. It also serves a web page that shows these metrics.`,
		Example: `  # Together with KEDA, which serves external.metrics.k8s.io:
  minicluster-metrics --apis=custom
  # Keep 15% of the cores free, and serve results of Prometheus queries:
  minicluster-metrics --capacity-reserve=15% --prometheus-url=http://prometheus.monitoring:9090`,
	}, o, func(ctx context.Context) error { return Run(ctx, o) })
}
