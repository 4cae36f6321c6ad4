package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// waitOptions are the flags of commands that wait.
type waitOptions struct {
	wait    bool
	timeout time.Duration
}

// addFlags adds the flags to a command that waits by default, or only with --wait, and checks them before it runs.
func (o *waitOptions) addFlags(cmd *cobra.Command, byDefault bool, until string) {
	cmd.Flags().BoolVar(&o.wait, "wait", byDefault, "Wait until the MiniCluster "+until+".")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "How long to wait; 0 waits without a limit.")
	cmd.PreRunE = o.check
}

func (o *waitOptions) check(*cobra.Command, []string) error {
	switch {
	case o.timeout < 0:
		return fmt.Errorf("--timeout: %s: must not be negative; 0 waits without a limit", o.timeout)
	case o.timeout > 0 && !o.wait:
		return errors.New("--timeout limits the wait: add --wait, or remove --timeout")
	}
	return nil
}

// limit returns a context that ends at the timeout, with a cause that says what was not reached.
func (o *waitOptions) limit(ctx context.Context, format string, args ...any) (context.Context, context.CancelFunc) {
	if o.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf(format+" after %s", append(args, o.timeout)...))
}

// newSuspendCommand returns the command that hibernates a MiniCluster.
func newSuspendCommand(f *factory) *cobra.Command {
	var o waitOptions
	discard := false
	cmd := &cobra.Command{
		Use:   "suspend NAME",
		Short: "Hibernate: save the state and delete the pods",
		Long: `Hibernate a MiniCluster (spec.suspend), and wait until it has no pods. Running jobs end
or are canceled at the deadline of spec.hibernation; the others are kept with the
state in spec.archive or spec.flux.state. A MiniCluster that has neither would lose its
jobs: that needs --discard.`,
		Example: `  kubectl minicluster suspend sample
  kubectl minicluster suspend sample --discard --timeout 10m`,
		Args:              needArguments(1, 1),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.suspend(cmd.Context(), args[0], discard, &o)
		},
	}
	o.addFlags(cmd, true, "has no pods")
	cmd.Flags().BoolVar(&discard, "discard", false, "Stop a MiniCluster that has nothing to keep its state in.")
	return cmd
}

// newResumeCommand returns the command that wakes a MiniCluster.
func newResumeCommand(f *factory) *cobra.Command {
	var o waitOptions
	var size int32
	cmd := &cobra.Command{
		Use:   "resume NAME",
		Short: "Wake a MiniCluster that hibernates",
		Long: `Wake a MiniCluster that hibernates, whatever the cause, and wait until it is ready. It
continues with the jobs that were saved.`,
		Example: `  kubectl minicluster resume sample
  kubectl minicluster resume sample --size 4`,
		Args:              needArguments(1, 1),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("size") && size < 1 {
				return fmt.Errorf("--size: %d: must be at least 1", size)
			}
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.resume(cmd.Context(), args[0], size, &o)
		},
	}
	o.addFlags(cmd, true, "is ready")
	cmd.Flags().Int32Var(&size, "size", 0, "Size at which it wakes; by default spec.size, or the size before.")
	return cmd
}

func (s *session) suspend(ctx context.Context, name string, discard bool, o *waitOptions) error {
	mc, err := s.miniCluster(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case mc.Status.Finished():
		return fmt.Errorf("MiniCluster %s has finished", name)
	case !keepsState(&mc.Spec) && !discard:
		return fmt.Errorf("MiniCluster %s has nothing to keep its jobs in (spec.archive.path or spec.flux.state): "+
			"save them with `kubectl minicluster dump %s FILE`, and stop it with --discard", name, name)
	}
	if _, err := s.patchSpec(ctx, name, map[string]any{"suspend": true}); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "minicluster/%s: suspended\n", name)
	if !o.wait {
		return nil
	}
	ctx, cancel := o.limit(ctx, "MiniCluster %s does not hibernate", name)
	defer cancel()
	return s.follow(ctx, mc, func(mc *v1alpha2.MiniCluster) (bool, error) {
		if !mc.Spec.Suspend {
			return false, errors.New("another client has set spec.suspend to false")
		}
		return stopped(mc), nil
	})
}

// keepsState reports whether the state of a MiniCluster survives its pods.
func keepsState(spec *v1alpha2.MiniClusterSpec) bool {
	if spec.Hibernation != nil && spec.Hibernation.State == v1alpha2.HibernationDiscard {
		return false
	}
	return spec.Archive != nil && spec.Archive.Path != "" || spec.Flux != nil && spec.Flux.State != nil
}

func (s *session) resume(ctx context.Context, name string, size int32, o *waitOptions) error {
	mc, err := s.miniCluster(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := o.limit(ctx, "MiniCluster %s is not ready", name)
	defer cancel()
	if err := s.wake(ctx, mc, size); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "minicluster/%s: resumed\n", name)
	if !o.wait {
		return nil
	}
	return s.waitReady(ctx, mc)
}

// wake removes the cause for which a MiniCluster hibernates. A size of 0 keeps spec.size.
func (s *session) wake(ctx context.Context, mc *v1alpha2.MiniCluster, size int32) error {
	spec := map[string]any{"suspend": false}
	h := mc.Status.Hibernation
	switch {
	case size > 0:
		spec["size"] = size
	case mc.Spec.Size != nil && *mc.Spec.Size == 0:
		spec["size"] = sizeBefore(h)
	}
	if h != nil && h.Cause == v1alpha2.CauseIdle && !mc.Spec.Suspend {
		// The idle timer has changed no field, so none can be reset.
		patched, err := s.patchSpec(ctx, mc.Name, map[string]any{"suspend": true})
		if err != nil {
			return err
		}
		if err := s.follow(ctx, mc, func(mc *v1alpha2.MiniCluster) (bool, error) {
			return mc.Status.ObservedGeneration >= patched.Generation, nil
		}); err != nil {
			return err
		}
	}
	_, err := s.patchSpec(ctx, mc.Name, spec)
	return err
}

// sizeBefore returns the size that the jobs of a hibernation need, or that of the cluster before it.
func sizeBefore(h *v1alpha2.HibernationStatus) int32 {
	if h == nil {
		return 1
	}
	return cmp.Or(h.Demand, h.Size, 1)
}

// patchSpec changes fields of the spec.
func (s *session) patchSpec(ctx context.Context, name string, spec map[string]any) (*v1alpha2.MiniCluster, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return nil, err
	}
	mc, err := s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("changing MiniCluster %s: %w", name, err)
	}
	return mc, nil
}

// follow waits until the controller has seen the last change of a MiniCluster and a check is true. It prints the
// message of the condition Hibernated to the standard error, each time that it changes.
func (s *session) follow(ctx context.Context, before *v1alpha2.MiniCluster, done func(mc *v1alpha2.MiniCluster) (bool, error)) error {
	last := ""
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		mc, err := s.miniCluster(ctx, before.Name)
		switch {
		case err != nil:
			return false, err
		case mc.UID != before.UID:
			return false, fmt.Errorf("MiniCluster %s was deleted", mc.Name)
		case mc.Status.Finished():
			return false, fmt.Errorf("MiniCluster %s has finished", mc.Name)
		case mc.Status.ObservedGeneration < mc.Generation:
			return false, nil
		}
		if c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionHibernated); c != nil && c.Message != last {
			last = c.Message
			fmt.Fprintf(s.ErrOut, "minicluster/%s: %s\n", mc.Name, last)
		}
		return done(mc)
	})
	return timeoutCause(ctx, err, before.Name)
}

// timeoutCause returns what was not reached, for a wait that a timeout has ended.
func timeoutCause(ctx context.Context, err error, name string) error {
	if wait.Interrupted(err) {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, ctx.Err()) {
			return fmt.Errorf("%w; it continues: see `kubectl minicluster status %s`", cause, name)
		}
	}
	return err
}

// stopped reports whether a MiniCluster has no pods because it hibernates or is suspended.
func stopped(mc *v1alpha2.MiniCluster) bool {
	c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && (c.Reason == v1alpha2.ReasonHibernated || c.Reason == v1alpha2.ReasonSuspended)
}

// awake wakes a MiniCluster that hibernates, and waits until it is ready.
func (s *session) awake(ctx context.Context, name string) error {
	mc, err := s.miniCluster(ctx, name)
	if err != nil || !stopped(mc) {
		return err
	}
	fmt.Fprintf(s.ErrOut, "minicluster/%s: waking\n", name)
	if err := s.wake(ctx, mc, 0); err != nil {
		return err
	}
	// The output belongs to Flux.
	quiet := *s
	quiet.Out = s.ErrOut
	return quiet.waitReady(ctx, mc)
}

// hibernation describes what a MiniCluster that hibernates keeps.
func hibernation(h *v1alpha2.HibernationStatus) string {
	text := "since " + age(h.Since.Time)
	if h.Cause != "" { // there is none while the queues start again
		text += " (" + string(h.Cause) + ")"
	}
	var kept []string
	if h.Jobs != nil {
		kept = append(kept, fmt.Sprintf("%d pending and %d held jobs", h.Jobs.Pending, h.Jobs.Held))
	}
	if h.Location != "" {
		kept = append(kept, fmt.Sprintf("%d bytes in %s", h.Bytes, h.Location))
	}
	if h.Demand > 0 {
		kept = append(kept, fmt.Sprintf("the jobs need size %d", h.Demand))
	}
	if len(kept) > 0 {
		text += "; " + strings.Join(kept, ", ")
	}
	return text
}
