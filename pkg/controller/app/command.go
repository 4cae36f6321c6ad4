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

// NewCommand makes the command of the controller.
func NewCommand() *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   "minicluster-controller",
		Short: "Keeps MiniClusters: elastic Flux clusters in Kubernetes",
		Long: `minicluster-controller turns MiniClusters into Secrets, ConfigMaps, Services
and Indexed Jobs, and keeps their size within its bounds.`,
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
	cmd.AddCommand(newRenderCommand(), newLintCommand())
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetContext(context.Background())
	return cmd
}
