// Command opportunistic applies the same load to two equal halves of a cluster of simulated nodes. In one half
// a Deployment with the HorizontalPodAutoscaler of the tutorial uses the remaining capacity, in the other a
// MiniCluster with that of examples/opportunistic. The program writes a table and a plot, and fails if the
// MiniCluster does not meet its requirements. docs/opportunistic.md shows the result.
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
	// Draw only draws the existing table.
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
	fs.StringVar(&o.Table, "table", "docs/data/opportunistic.csv", "File for the table, with one line per second.")
	fs.StringVar(&o.Plot, "plot", "docs/images/opportunistic.svg", "File for the plot.")
	fs.BoolVar(&o.Draw, "draw", false, "Draw the existing table without running the load.")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q: unexpected arguments, see --help", fs.Args())
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
	if err := plot(samples).Write(o.Plot); err != nil {
		return err
	}
	verdicts := judge(samples)
	report(os.Stdout, verdicts)
	return verdicts[average].err()
}
