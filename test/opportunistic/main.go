// opportunistic plays one load twice at the same time, on two equal halves of a cluster of simulated nodes. In one half
// an application fills what the load leaves by the HorizontalPodAutoscaler of the tutorial, in the other a MiniCluster
// does by that of examples/opportunistic. What happens is written as a table and drawn; the program fails if the
// MiniCluster misses what is promised of it. docs/opportunistic.md shows the result.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

type options struct {
	// Table and Plot are the paths of the two results.
	Table, Plot string
	// Draw only draws the table that is there.
	Draw bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "opportunistic:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	fs := pflag.NewFlagSet("opportunistic", pflag.ContinueOnError)
	fs.StringVar(&o.Table, "table", "docs/data/opportunistic.csv", "File for what happened, one line a second.")
	fs.StringVar(&o.Plot, "plot", "docs/images/opportunistic.svg", "File for the drawing.")
	fs.BoolVar(&o.Draw, "draw", false, "Draw the table that is there, and play nothing.")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q: there are only flags, see --help", fs.Args())
	}
	if !o.Draw {
		samples, err := play(ctx)
		if err != nil {
			return err
		}
		if err := writeTable(o.Table, samples); err != nil {
			return err
		}
	}
	samples, err := readTable(o.Table)
	if err != nil {
		return err
	}
	if err := writePlot(o.Plot, samples); err != nil {
		return err
	}
	verdicts := judge(samples)
	report(os.Stdout, verdicts)
	return verdicts[average].err()
}
