package app

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/process"

	_ "k8s.io/component-base/logs/json/register" // for --logging-format=json
)

// NewCommand makes the command of the metrics API server.
func NewCommand() *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   "minicluster-metrics",
		Short: "Serves metrics of MiniClusters to autoscalers",
		Long: `minicluster-metrics serves custom.metrics.k8s.io and external.metrics.k8s.io:
what Flux says of the queue and the nodes of every MiniCluster.`,
		Args:         cobra.NoArgs,
		Version:      version.Get().GitVersion,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			gate := featuregate.NewFeatureGate()
			if err := logsapi.AddFeatureGates(gate); err != nil {
				return fmt.Errorf("setting up logs: %w", err)
			}
			if err := logsapi.ValidateAndApply(o.Logs, gate); err != nil {
				return fmt.Errorf("setting up logs: %w", err)
			}
			defer logs.FlushLogs()
			if err := o.Validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			logger := process.WithoutBodies(klog.FromContext(ctx))
			logger.Info("Starting", "version", version.Get().GitVersion)
			return Run(klog.NewContext(ctx, logger), o)
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetContext(context.Background())
	return cmd
}
