// Command kubeup keeps a local Kubernetes with simulated nodes running on this machine:
//
//	kubeup up    starts one, unless it runs already, and prints how to use it
//	kubeup down  ends it and forgets its data
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// stateDir is the default directory of the cluster, below the root of the repository.
const stateDir = ".kube-local"

type options struct {
	dir   string
	nodes int
	port  int
	audit bool
	// metrics starts a metrics-server.
	metrics bool
	// stopCommand is the command that the output recommends to stop the cluster.
	stopCommand string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kubeup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	var o options
	flags := flag.NewFlagSet("kubeup", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&o.dir, "dir", "", "directory of the cluster's state (default "+stateDir+" in the repository)")
	flags.IntVar(&o.nodes, "nodes", cluster.DefaultNodes, "number of simulated nodes")
	flags.IntVar(&o.port, "port", 0, "port of the API server on 127.0.0.1; 0 selects a free one")
	flags.BoolVar(&o.audit, "audit", false, "log every request to DIR/audit.log")
	flags.BoolVar(&o.metrics, "metrics-server", false, "run a metrics-server, which reports the usage in annotations of the pods")
	flags.Usage = func() {
		fmt.Fprintln(log, "usage: kubeup up|down [flags]")
		flags.PrintDefaults()
	}
	if len(args) == 0 {
		flags.Usage()
		return errors.New("say up or down")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	dir, err := kubebin.StateDir(o.dir, stateDir)
	if err != nil {
		return err
	}
	// The command to stop a cluster in another directory depends on it.
	o.stopCommand = "make kube-down"
	if o.dir != "" {
		o.stopCommand = "go run ./test/framework/cluster/kubeup down --dir " + quote(dir)
	}
	o.dir = dir
	switch args[0] {
	case "up":
		return up(ctx, o, out, log)
	case "down":
		return down(ctx, o.dir, log)
	default:
		flags.Usage()
		return fmt.Errorf("neither up nor down: %q", args[0])
	}
}

func up(ctx context.Context, o options, out, log io.Writer) error {
	state, err := loadState(o.dir)
	if err != nil {
		return err
	}
	switch running := state.running(o.dir); {
	case len(state.Processes) > 0 && len(running) == len(state.Processes):
		fmt.Fprintln(log, "The cluster is running already.")
		printUsage(out, o, state.Kubectl)
		return nil
	default:
		// The remains of a broken cluster would conflict with the new one.
		if err := end(ctx, o.dir, running); err != nil {
			return err
		}
	}
	kube, err := cluster.Start(ctx, cluster.Options{
		Dir:           o.dir,
		Nodes:         nodeCount(o.nodes),
		Port:          o.port,
		Audit:         o.audit,
		MetricsServer: o.metrics,
		Log:           log,
		Detached:      true,
	})
	if err != nil {
		return err
	}
	state = newState(kube)
	if err := state.save(o.dir); err != nil {
		return errors.Join(err, kube.Stop())
	}
	printUsage(out, o, state.Kubectl)
	return nil
}

// nodeCount converts the flag: 0 means no nodes, not the default.
func nodeCount(nodes int) int {
	if nodes == 0 {
		return -1
	}
	return nodes
}

func printUsage(out io.Writer, o options, kubectl string) {
	fmt.Fprintf(out, "export KUBECONFIG=%s\n", quote(filepath.Join(o.dir, "kubeconfig")))
	fmt.Fprintf(out, "# kubectl of the same version: %s\n", kubectl)
	fmt.Fprintln(out, "# its nodes are simulated: pods become ready, and no container runs")
	fmt.Fprintln(out, "# stop it with: "+o.stopCommand)
}

// quote makes a path safe to paste into a shell.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`;&|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

func down(ctx context.Context, dir string, log io.Writer) error {
	state, err := loadState(dir)
	if err != nil {
		return err
	}
	if state.empty() {
		fmt.Fprintln(log, "No cluster is running.")
		return nil
	}
	if err := end(ctx, dir, state.running(dir)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the cluster's state: %w", err)
	}
	fmt.Fprintln(log, "The cluster is gone.")
	return nil
}
