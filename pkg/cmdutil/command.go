package cmdutil

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	_ "k8s.io/component-base/logs/json/register" // for --logging-format=json
)

// Settings are the options of a program that are set by flags.
type Settings interface {
	// AddFlags adds a flag for each option.
	AddFlags(fs *pflag.FlagSet)
	// Validate returns an error that lists every invalid flag.
	Validate() error
}

// NewCommand completes a command that has a name and a description. It adds the flags of the
// settings, the logging flags and the version, and calls run with a context that has a logger and
// ends on SIGTERM or SIGINT.
func NewCommand(cmd *cobra.Command, settings Settings, run func(context.Context) error) *cobra.Command {
	logging := logsapi.NewLoggingConfiguration()
	cmd.Args = cobra.NoArgs
	cmd.Version = version.Get().GitVersion
	cmd.SilenceUsage = true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		gate := featuregate.NewFeatureGate()
		if err := logsapi.AddFeatureGates(gate); err != nil {
			return fmt.Errorf("setting up logs: %w", err)
		}
		if err := logsapi.ValidateAndApply(logging, gate); err != nil {
			return fmt.Errorf("setting up logs: %w", err)
		}
		defer logs.FlushLogs()
		if err := settings.Validate(); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		logger := redactBodies(klog.FromContext(ctx))
		logger.Info("Starting", "version", version.Get().GitVersion)
		return run(klog.NewContext(ctx, logger))
	}
	settings.AddFlags(cmd.Flags())
	logsapi.AddFlags(logging, cmd.Flags())
	cmd.SetContext(context.Background())
	return cmd
}
