// Command bench measures what MiniClusters cost. It starts a Kubernetes with simulated nodes, creates many MiniClusters
// at once, resizes all of them, resizes some of them one by one, lets them idle and deletes them. It does this with the
// operator, with a raw client that makes the same writes as fast as possible, which is the limit of the machine, and
// with an operator without logic. With the argument "metrics" it measures the metrics API server instead,
// with "start" how fast the pods of MiniClusters start and end on a real node. docs/bench.md explains the results.
//
// A change of what is measured needs new figures in docs/bench.md. Programs are started with
// test/framework/cluster/process; the command must not import the controller or the metrics API server.
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

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == rawClientCommand {
		return runRawClient(ctx, args[1:], os.Stdin)
	}
	if len(args) > 0 && args[0] == floorCommand {
		return runFloor(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == scaleCommand {
		o, err := parseScale(args[1:])
		if err != nil {
			return err
		}
		results, err := measureScale(ctx, o)
		return errors.Join(err, results.print(os.Stdout), writeJSON(o.JSON, results))
	}
	if len(args) > 0 && args[0] == metricsCommand {
		o, err := parseMetrics(args[1:])
		if err != nil {
			return err
		}
		results, err := measureMetrics(ctx, o)
		return errors.Join(err, results.print(os.Stdout))
	}
	if len(args) > 0 && args[0] == startCommand {
		o, err := parseStart(args[1:])
		if err != nil {
			return err
		}
		results, err := measureStart(ctx, o)
		return errors.Join(err, results.print(os.Stdout))
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	results, err := measure(ctx, o)
	// Results from before an error are still useful.
	return errors.Join(err, results.print(os.Stdout), writeJSON(o.JSON, results))
}
