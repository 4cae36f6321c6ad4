// Command compile compiles packages ahead of the go command that needs them, and shows its progress:
//
//	compile --what "the tests" -- -race -test ./...
//
// What follows the flags is passed to "go list -export"; -race enables cgo, which the race detector needs. The
// packages are stored in Go's cache only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"minicluster.internal/operator/test/framework/gobuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compile:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("compile", flag.ContinueOnError)
	flags.SetOutput(out)
	dir := flags.String("dir", ".", "directory of the module")
	what := flags.String("what", "the packages", "what is compiled, as the progress names it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var env []string
	if slices.Contains(flags.Args(), "-race") {
		env = []string{"CGO_ENABLED=1"}
	}
	progress := gobuild.NewProgress(out)
	stale, err := gobuild.Stale(ctx, *dir, env, progress, flags.Args()...)
	if err == nil && stale > few {
		progress.Compiling(*what, stale)
		export := []string{"list", "-export", "-deps", "-v", "-f", "{{/* nothing */}}"}
		_, err = gobuild.Run(ctx, *dir, env, progress, append(export, flags.Args()...)...)
	}
	progress.Finish()
	return err
}

// few is the number of packages that are left to the go command itself, which compiles them while it shows the first
// results. Programs and tests always count as stale.
const few = 200
