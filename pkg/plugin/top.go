package plugin

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
)

type topOptions struct {
	interval time.Duration
	count    int
}

// newTopCommand returns the command that shows a report and updates it.
func newTopCommand(f *factory) *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top NAME",
		Short: "Show ranks, cores and jobs, and update them",
		Long: `Show what status shows, and update it. Without a terminal, one line is printed
for each update.`,
		Example:           `  kubectl minicluster top sample --interval 5s`,
		Args:              cobra.MatchAll(needName, cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.interval < 100*time.Millisecond {
				return fmt.Errorf("--interval: %s: must be at least 100ms", o.interval)
			}
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.top(cmd.Context(), args[0], o, clock.RealClock{})
		},
	}
	cmd.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "Time between two updates.")
	cmd.Flags().IntVar(&o.count, "count", 0, "Number of updates; 0 updates until it is interrupted.")
	return cmd
}

// clearScreen moves the cursor to the top left and deletes what follows.
const clearScreen = "\x1b[H\x1b[J"

func (s *session) top(ctx context.Context, name string, o *topOptions, clock clock.WithTicker) error {
	live := isTerminal(s.Out)
	ticker := clock.NewTicker(o.interval)
	defer ticker.Stop()
	for i := 0; ; i++ {
		r, err := s.report(ctx, name)
		if err != nil {
			return err
		}
		if live {
			// One write, so that the screen does not flicker.
			var screen bytes.Buffer
			screen.WriteString(clearScreen)
			r.print(&screen, painter(true))
			if _, err := screen.WriteTo(s.Out); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(s.Out, r.line(clock.Now()))
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

// line is the report on one line.
func (r *report) line(now time.Time) string {
	text := fmt.Sprintf("%s size=%d ready=%d bounds=%s status=%s", now.UTC().Format(time.RFC3339), r.mc.Status.Size, r.mc.Status.ReadySize, bounds(r.mc), state(r.mc))
	if r.flux.err != nil {
		return text + " flux=unknown"
	}
	return text + fmt.Sprintf(" busy=%d online=%d cores=%d/%d jobs=%q", r.flux.ranks["allocated"], r.flux.ranks["up"],
		r.flux.cores["allocated"], r.flux.cores["up"], r.flux.jobs)
}
