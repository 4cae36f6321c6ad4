// Package gobuild runs the go command and shows its progress: a first build from an empty cache takes minutes, during
// which the go command prints nothing. It imports only the standard library, because it has to be compiled before it
// can show anything.
package gobuild

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

const interruptPatience = 5 * time.Second

// Run runs the go command in a directory and returns its output. The watcher, for example a Progress, reads its
// messages; the error contains the last of them. The environment is added to that of this process.
func Run(ctx context.Context, dir string, env []string, watcher io.Writer, args ...string) (string, error) {
	var stdout bytes.Buffer
	var complaints tail
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(compilerMemory(memory(), runtime.GOMAXPROCS(0)), os.Environ(), env)
	cmd.Stdout = &stdout
	cmd.Stderr = io.MultiWriter(watcher, &complaints)
	// When interrupted, the go command stops its compilers and removes its temporary files; when killed, it does not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptPatience
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("go %s: %w", args[0], ctx.Err())
		}
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, complaints.String())
	}
	return stdout.String(), nil
}

// Stale counts the packages that a build with these arguments, flags and patterns, has to compile.
func Stale(ctx context.Context, dir string, env []string, watcher io.Writer, args ...string) (int, error) {
	list := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, args...)
	stale, err := Run(ctx, dir, env, watcher, list...)
	return len(strings.Fields(stale)), err
}
