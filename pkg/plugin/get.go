package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxscheme "minicluster.internal/operator/pkg/generated/clientset/versioned/scheme"
)

// newGetCommand returns the command that lists MiniClusters.
func newGetCommand(f *factory) *cobra.Command {
	allNamespaces := false
	output := genericclioptions.NewPrintFlags("").WithTypeSetter(fluxscheme.Scheme)
	cmd := &cobra.Command{
		Use:   "get [NAME...]",
		Short: "List MiniClusters with their bounds and what scales them",
		Example: `  kubectl minicluster get
  kubectl minicluster get sample -o yaml`,
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			if allNamespaces {
				s.namespace = metav1.NamespaceAll
			}
			items, err := s.list(cmd.Context(), args)
			if err != nil {
				return err
			}
			if *output.OutputFormat == "" {
				return s.printTable(cmd.Context(), items, allNamespaces)
			}
			printer, err := output.ToPrinter()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return printer.PrintObj(&items[0], s.Out)
			}
			return printer.PrintObj(&v1alpha2.MiniClusterList{Items: items}, s.Out)
		},
	}
	cmd.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "List the MiniClusters of all namespaces.")
	output.AddFlags(cmd)
	return cmd
}

// list reads the named MiniClusters, or all of the namespace.
func (s *session) list(ctx context.Context, names []string) ([]v1alpha2.MiniCluster, error) {
	if len(names) == 0 {
		list, err := s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	items := make([]v1alpha2.MiniCluster, 0, len(names))
	for _, name := range names {
		mc, err := s.miniCluster(ctx, name)
		if err != nil {
			return nil, err
		}
		items = append(items, *mc)
	}
	return items, nil
}

func (s *session) printTable(ctx context.Context, items []v1alpha2.MiniCluster, namespaces bool) error {
	if len(items) == 0 {
		fmt.Fprintln(s.ErrOut, "No MiniClusters found.")
		return nil
	}
	return writeTable(s.Out, items, s.autoscalers(ctx), namespaces)
}

// writeTable writes a line for each MiniCluster.
func writeTable(out io.Writer, items []v1alpha2.MiniCluster, scalers scalers, namespaces bool) error {
	w := printers.GetNewTabWriter(out)
	if namespaces {
		fmt.Fprint(w, "NAMESPACE\t")
	}
	fmt.Fprintln(w, "NAME\tSIZE\tREADY\tBOUNDS\tSTATUS\tSCALED BY\tAGE")
	for i := range items {
		mc := &items[i]
		if namespaces {
			fmt.Fprintf(w, "%s\t", mc.Namespace)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", mc.Name, mc.Status.Size, mc.Status.ReadySize, bounds(mc), state(mc),
			scaledBy(scalers, mc), age(mc.CreationTimestamp.Time))
	}
	return w.Flush()
}

// bounds returns the smallest and the largest size. The largest is unknown until the controller has recorded it.
func bounds(mc *v1alpha2.MiniCluster) string {
	largest := "?"
	if mc.Status.MaximumSize > 0 {
		largest = strconv.Itoa(int(mc.Status.MaximumSize))
	}
	return fmt.Sprintf("%d-%s", max(mc.Spec.MinSize, 1), largest)
}

// state returns the reason of the Ready condition, which kubectl get shows as the status.
func state(mc *v1alpha2.MiniCluster) string {
	if ready := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionReady); ready != nil {
		return ready.Reason
	}
	return "Unknown"
}

func age(t time.Time) string { return duration.HumanDuration(time.Since(t)) }

// scalers are the autoscalers that were read, or why they could not be.
type scalers struct {
	items []autoscalingv2.HorizontalPodAutoscaler
	err   error
}

// autoscalers lists the HorizontalPodAutoscalers of the namespace.
func (s *session) autoscalers(ctx context.Context) scalers {
	list, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return scalers{err: err}
	}
	slices.SortFunc(list.Items, func(a, b autoscalingv2.HorizontalPodAutoscaler) int { return cmp.Compare(a.Name, b.Name) })
	return scalers{items: list.Items}
}

// of returns the autoscalers whose target is a MiniCluster.
func (a scalers) of(mc *v1alpha2.MiniCluster) []autoscalingv2.HorizontalPodAutoscaler {
	var found []autoscalingv2.HorizontalPodAutoscaler
	for i := range a.items {
		target := a.items[i].Spec.ScaleTargetRef
		if a.items[i].Namespace == mc.Namespace && target.Kind == v1alpha2.MiniClusterKind.Kind && target.Name == mc.Name {
			found = append(found, a.items[i])
		}
	}
	return found
}

func scaledBy(a scalers, mc *v1alpha2.MiniCluster) string {
	if a.err != nil {
		return "<unknown>"
	}
	switch found := a.of(mc); len(found) {
	case 0:
		return "<none>"
	case 1:
		return "hpa/" + found[0].Name
	default:
		return fmt.Sprintf("%d autoscalers", len(found))
	}
}
