package plugin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// pollInterval is the time between two reads of a MiniCluster that a command waits for.
const pollInterval = 200 * time.Millisecond

// newScaleCommand returns the command that changes the size of a MiniCluster.
func newScaleCommand(f *factory) *cobra.Command {
	o := &waitOptions{}
	cmd := &cobra.Command{
		Use:   "scale NAME SIZE",
		Short: "Change the size, and wait until the MiniCluster has it",
		Long: `Change the size of a MiniCluster through its scale subresource, and wait until it
has the size. While jobs still run on ranks that go, the drain is shown. A size
outside the bounds is an error.`,
		Example:           `  kubectl minicluster scale sample 3`,
		Args:              needArguments(2, 2),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil || size < 0 {
				return fmt.Errorf("size %q: must be a number of pods, for example 4", args[1])
			}
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.scale(cmd.Context(), args[0], int32(size), o)
		},
	}
	o.addFlags(cmd, true, "has the size")
	return cmd
}

func (s *session) scale(ctx context.Context, name string, size int32, o *waitOptions) error {
	client := s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace)
	before, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if before.Status.Finished() {
		return fmt.Errorf("MiniCluster %s has finished: its size no longer changes", name)
	}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: size}}
	if _, err := client.UpdateScale(ctx, name, scale, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("setting the size of MiniCluster %s: %w", name, err)
	}
	fmt.Fprintf(s.Out, "minicluster/%s: size %d requested\n", name, size)
	if !o.wait {
		return nil
	}
	if before.Spec.Suspend {
		fmt.Fprintf(s.Out, "minicluster/%s: it is suspended, and has the size when it wakes: see `kubectl minicluster resume %s`\n", name, name)
		return nil
	}
	ctx, cancel := o.limit(ctx, "MiniCluster %s does not have size %d", name, size)
	defer cancel()
	progress := progressPrinter{s: s}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		mc, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		done, err := scaled(before, mc, size)
		if done && err == nil {
			fmt.Fprintf(s.Out, "minicluster/%s: size %d, %d ready\n", name, mc.Status.Size, mc.Status.ReadySize)
		} else if err == nil {
			progress.print(mc)
		}
		return done, err
	})
	return timeoutCause(ctx, err, name)
}

// scaled reports whether a MiniCluster has the size that was requested, as it was before. A rejection is an error.
func scaled(before, mc *v1alpha2.MiniCluster, size int32) (bool, error) {
	if mc.UID != before.UID {
		return false, fmt.Errorf("MiniCluster %s was deleted", mc.Name)
	}
	if mc.Status.ObservedGeneration < mc.Generation {
		return false, nil
	}
	if limited := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionScalingLimited); limited != nil &&
		limited.Status == metav1.ConditionTrue && mc.Spec.Size != nil && *mc.Spec.Size != size {
		return false, errors.New(limited.Message)
	}
	if mc.Spec.Size != nil && *mc.Spec.Size != size {
		return false, fmt.Errorf("another client changed the size to %d", *mc.Spec.Size)
	}
	if mc.Status.Finished() {
		return false, fmt.Errorf("MiniCluster %s has finished", mc.Name)
	}
	return mc.Status.Size == size && mc.Status.ReadySize == size, nil
}

// progressPrinter prints the message of the Progressing condition to the standard error, each time that it changes.
type progressPrinter struct {
	s    *session
	last string
}

func (p *progressPrinter) print(mc *v1alpha2.MiniCluster) {
	c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing)
	if c == nil || c.Status != metav1.ConditionTrue || c.Message == p.last || c.ObservedGeneration < mc.Generation {
		return
	}
	p.last = c.Message
	fmt.Fprintf(p.s.ErrOut, "minicluster/%s: %s\n", mc.Name, c.Message)
}
