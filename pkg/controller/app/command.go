package app

import (
	"context"

	"github.com/spf13/cobra"

	"minicluster.internal/operator/pkg/cmdutil"
)

// NewCommand returns the command of the controller.
func NewCommand() *cobra.Command {
	o := NewOptions()
	return cmdutil.NewCommand(&cobra.Command{
		Use:   "minicluster-controller",
		Short: "Runs the controller of MiniClusters: elastic Flux clusters in Kubernetes",
		Long: `minicluster-controller turns MiniClusters into Secrets, ConfigMaps, Services
and Indexed Jobs, and keeps their size within its bounds.`,
		Example: `  # In a pod, for all namespaces; the image by the name that the nodes pull:
  minicluster-controller --agent-image=REGISTRY/minicluster:v1.2.3
  # Outside of the cluster, for one namespace:
  minicluster-controller --kubeconfig=FILE --leader-elect-resource-namespace=minicluster-system --namespaces=team-a`,
	}, o, func(ctx context.Context) error { return Run(ctx, o) })
}
