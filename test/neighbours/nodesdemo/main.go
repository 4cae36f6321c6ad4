// Command nodesdemo runs examples/elasticity/nodes on the local Kubernetes with the real HorizontalPodAutoscaler and
// the real Karpenter, whose cloud is simulated: jobs are submitted, the MiniCluster grows, Karpenter buys nodes, the
// jobs run, and the nodes go. The queue of Flux is simulated, since the pods of simulated nodes run nothing. The
// program writes a table and a plot, and prints the delays of the neighbours beside what was measured.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "nodesdemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	fs := pflag.NewFlagSet("nodesdemo", pflag.ContinueOnError)
	table := fs.String("table", "docs/data/nodes.csv", "File for the table, with one line per second.")
	drawing := fs.String("plot", "docs/images/nodes.svg", "File for the plot.")
	draw := fs.Bool("draw", false, "Draw the existing table without running the demo.")
	verbose := fs.Bool("verbose", false, "Print the logs of the operator.")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q: unexpected arguments, see --help", fs.Args())
	}
	if !*verbose {
		klog.SetLogger(logr.Discard())
	}
	if !*draw {
		samples, err := play(ctx)
		if err != nil {
			return err
		}
		if err := writeTable(*table, samples); err != nil {
			return err
		}
	}
	samples, err := readTable(*table)
	if err != nil {
		return err
	}
	report(os.Stdout, samples)
	return plot(samples).Write(*drawing)
}
