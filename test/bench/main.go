// bench measures what MiniClusters cost: it starts a Kubernetes with simulated
// nodes, makes many MiniClusters at once, resizes them all, resizes some of them
// one by one, lets them idle and deletes them. All of it is done twice: by the
// operator, and by a raw client that makes the same writes as fast as they can be
// made, which is the limit of the machine. docs/bench.md tells how to read it.
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
	if len(args) > 0 && args[0] == metricsCommand {
		o, err := parseMetrics(args[1:])
		if err != nil {
			return err
		}
		results, err := measureMetrics(ctx, o)
		return errors.Join(err, results.print(os.Stdout))
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	results, err := measure(ctx, o)
	// What was measured before something went wrong is still worth a look.
	return errors.Join(err, results.print(os.Stdout), results.writeJSON(o.JSON))
}
