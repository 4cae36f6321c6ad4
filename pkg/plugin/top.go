package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

type topOptions struct {
	interval      time.Duration
	count         int
	allNamespaces bool
}

// newTopCommand returns the command that shows a report and updates it.
func newTopCommand(f *factory) *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top [NAME]",
		Short: "Show ranks, cores and jobs, and update them",
		Long: `Show what status shows, and update it. Without a name, show all MiniClusters, those
with problems first. Without a terminal, one line is printed for each update.`,
		Example: `  kubectl minicluster top sample --interval 5s
  kubectl minicluster top --all-namespaces`,
		Args:              needArguments(0, 1),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.interval < 100*time.Millisecond {
				return fmt.Errorf("--interval: %s: must be at least 100ms", o.interval)
			}
			s, err := f.session()
			if err != nil {
				return err
			}
			if o.allNamespaces {
				s.namespace = metav1.NamespaceAll
			}
			if len(args) == 0 {
				return s.repeat(cmd.Context(), o, clock.RealClock{}, s.topOfAll(o.allNamespaces))
			}
			if o.allNamespaces {
				return errors.New("--all-namespaces and a name exclude each other: remove one of them")
			}
			return s.repeat(cmd.Context(), o, clock.RealClock{}, s.topOf(args[0]))
		},
	}
	cmd.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "Time between two updates.")
	cmd.Flags().IntVar(&o.count, "count", 0, "Number of updates; 0 updates until it is interrupted.")
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show the MiniClusters of all namespaces.")
	return cmd
}

// clearScreen moves the cursor to the top left and deletes what follows.
const clearScreen = "\x1b[H\x1b[J"

// frame is what a command that repeats itself shows: a screen, or a line without a terminal.
type frame interface {
	screen(p painter, on screen) string
	line(now time.Time) string
}

// repeat shows frames at the interval, until the context ends or the number of updates is reached.
func (s *session) repeat(ctx context.Context, o *topOptions, clock clock.WithTicker, next func(context.Context) (frame, error)) error {
	ticker := clock.NewTicker(o.interval)
	defer ticker.Stop()
	for i := 0; ; i++ {
		f, err := next(ctx)
		if err != nil {
			return err
		}
		text := f.line(clock.Now()) + "\n"
		if isLive(s.Out) {
			text = clearScreen + f.screen(painterFor(s.Out), screenOf(s.Out))
		}
		// One write, so that the screen does not flicker.
		if _, err := io.WriteString(s.Out, text); err != nil {
			return err
		}
		if i+1 == o.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// topOf returns the updates about one MiniCluster.
func (s *session) topOf(name string) func(context.Context) (frame, error) {
	return func(ctx context.Context) (frame, error) { return s.report(ctx, name) }
}

// topOfAll returns the updates about all MiniClusters.
func (s *session) topOfAll(namespaces bool) func(context.Context) (frame, error) {
	return func(ctx context.Context) (frame, error) { return s.overview(ctx, namespaces) }
}

func (r *report) screen(p painter, on screen) string { return on.cut(r.text(p, on), "(%d more lines)") }

// line is the report on one line.
func (r *report) line(now time.Time) string {
	text := fmt.Sprintf("%s size=%d ready=%d bounds=%s status=%s", now.UTC().Format(time.RFC3339), r.mc.Status.Size, r.mc.Status.ReadySize, bounds(r.mc), state(r.mc))
	if r.flux.err != nil {
		return text + " flux=unknown"
	}
	return text + fmt.Sprintf(" busy=%d online=%d cores=%d/%d jobs=%q", r.flux.ranks["allocated"], r.flux.ranks["up"],
		r.flux.cores["allocated"], r.flux.cores["up"], r.flux.jobs)
}
