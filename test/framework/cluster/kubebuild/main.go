// Command kubebuild builds the programs of the local Kubernetes into bin/, unless they are up to date. With --node it
// builds those of a real node as well. hack/build-kube.sh calls it; tests that need a cluster do the same
// automatically.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	node := flag.Bool("node", false, "also build the programs of a real node")
	flag.Parse()
	err := run(ctx, *node)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, node bool) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	// Standard output must stay empty, because a shell evaluates the output of "make kube-up".
	if _, err := kubebin.Ensure(ctx, root, os.Stderr); err != nil || !node {
		return err
	}
	_, err = kubebin.EnsureNode(ctx, root, os.Stderr)
	return err
}
