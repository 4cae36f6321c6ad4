package app

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/cmdutil"
)

// NewCommand returns the command of the controller.
func NewCommand() *cobra.Command {
	o := NewOptions()
	o.Pod = types.NamespacedName{Namespace: os.Getenv("POD_NAMESPACE"), Name: os.Getenv("POD_NAME")}
	return cmdutil.NewCommand(&cobra.Command{
		Use:   "minicluster-controller",
		Short: "Runs the controller of MiniClusters: elastic Flux clusters in Kubernetes",
		Long: `minicluster-controller turns MiniClusters into Secrets, ConfigMaps, Services
and Indexed Jobs, and keeps their size within its bounds.`,
		Example: `  # In a pod, for all namespaces; POD_NAME and POD_NAMESPACE name the pod, whose image the agents have:
  minicluster-controller
  # Outside of the cluster, for one namespace:
  minicluster-controller --kubeconfig=FILE --leader-elect-resource-namespace=minicluster-system --namespaces=team-a`,
	}, o, func(ctx context.Context) error { return Run(ctx, o) })
}
