// Command nodeup keeps a Kubernetes with a real node running on this machine. It needs root.
//
//	nodeup up              starts one, unless it runs already, and prints how to use it
//	nodeup import FILE...  gives it the images in archives
//	nodeup down            ends it and all of its containers, and forgets its data
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
)

// stateDir is the default directory of the node, below the root of the repository.
const stateDir = ".node-local"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "nodeup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("nodeup", flag.ContinueOnError)
	flags.SetOutput(log)
	dir := flags.String("dir", "", "directory of the node's state (default "+stateDir+" in the repository)")
	metrics := flags.Bool("metrics", true, "run metrics-server")
	flags.Usage = func() {
		fmt.Fprintln(log, "usage: nodeup up|import|down [flags] [FILE...]")
		flags.PrintDefaults()
	}
	if len(args) == 0 {
		flags.Usage()
		return errors.New("say up, import or down")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 && args[0] != "import" {
		return fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	where, err := kubebin.StateDir(*dir, stateDir)
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return up(ctx, where, *metrics, out, log)
	case "import":
		return importImages(ctx, where, flags.Args(), log)
	case "down":
		return node.Remove(ctx, where)
	default:
		flags.Usage()
		return fmt.Errorf("neither up nor import nor down: %q", args[0])
	}
}

func up(ctx context.Context, dir string, metrics bool, out, log io.Writer) error {
	pid, found, err := node.Find(dir)
	if err != nil {
		return err
	}
	if found {
		fmt.Fprintln(log, "The node is running already.")
		printUsage(out, dir, pid)
		return nil
	}
	// The remains of a broken node would conflict with the new one.
	if err := node.Remove(ctx, dir); err != nil {
		return err
	}
	started, err := node.Start(ctx, node.Options{
		Cluster:       cluster.Options{Dir: dir, Log: log, Detached: true},
		MetricsServer: metrics,
	})
	if err != nil {
		return err
	}
	printUsage(out, dir, started.InitPID())
	return nil
}

func importImages(ctx context.Context, dir string, files []string, log io.Writer) error {
	_, found, err := node.Find(dir)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("no node runs in %s", dir)
	}
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	programs, err := kubebin.EnsureNode(ctx, root, log)
	if err != nil {
		return err
	}
	for _, file := range files {
		// The socket is a file, so this works from outside the node's namespaces.
		cmd := exec.CommandContext(ctx, programs.Ctr, "--address="+node.Socket(dir), "--namespace="+node.ImageNamespace, "images", "import", file)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("importing %s: %w", file, err)
		}
	}
	return nil
}

func printUsage(out io.Writer, dir string, pid int) {
	fmt.Fprintf(out, "export KUBECONFIG=%s\n", filepath.Join(dir, "kubeconfig"))
	fmt.Fprintf(out, "# its network, mounts and processes: nsenter --target %d --net --mount --pid\n", pid)
	fmt.Fprintf(out, "# give it images: go run ./test/framework/node/nodeup import --dir %s FILE.tar\n", dir)
	fmt.Fprintln(out, "# stop it with: make node-down")
}
