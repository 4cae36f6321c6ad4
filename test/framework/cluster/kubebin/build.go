package kubebin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	lockFile = ".kube-lock"

	interruptPatience = 5 * time.Second
)

// build leaves the programs in a directory; it does nothing if they are there and nothing has changed.
func build(ctx context.Context, module, dir string, log io.Writer, s set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory for the programs: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, lockFile), func() { fmt.Fprintln(log, "waiting for another build of Kubernetes to end") })
	if err != nil {
		return err
	}
	defer unlock()

	goVersion, err := goOutput(ctx, module, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return err
	}
	want, err := fingerprint(module, goVersion, s.packages...)
	if err != nil {
		return err
	}
	stamp := filepath.Join(dir, s.stamp)
	// Without a stamp that can be read the programs are built, which is always right.
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want && len(s.missing(dir)) == 0 {
		return nil
	}
	if err := compile(ctx, module, dir, log, s); err != nil {
		return err
	}
	if err := os.WriteFile(stamp, []byte(want), 0o644); err != nil {
		return fmt.Errorf("remembering what was built: %w", err)
	}
	return nil
}

func compile(ctx context.Context, module, dir string, log io.Writer, s set) error {
	progress := newProgress(log)
	defer progress.finish()

	// Listing fetches the modules where they are missing, so it comes first and is watched too.
	progress.say("looking for the sources of Kubernetes")
	versions, err := run(ctx, module, progress, "list", "-m", "-f", "{{.Version}}", kubernetesModule, kwokModule)
	if err != nil {
		return err
	}
	kubernetes, kwok, _ := strings.Cut(strings.TrimSpace(versions), "\n")
	flags := []string{"-buildvcs=false", "-ldflags=" + linkerFlags(kubernetes, kwok)}
	stale, err := run(ctx, module, progress, append(append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, flags...), s.packages...)...)
	if err != nil {
		return err
	}
	progress.compiling(len(strings.Fields(stale)))
	args := append([]string{"build", "-v", "-o", dir + string(filepath.Separator)}, flags...)
	if _, err := run(ctx, module, progress, append(args, s.packages...)...); err != nil {
		return err
	}
	progress.say(fmt.Sprintf("built %s (Kubernetes %s)", s, kubernetes))
	return nil
}

// linkerFlags leaves out what only a debugger needs (a third of 300 MB) and names the versions, which are
// otherwise filled in by the release scripts of the projects; kubectl refuses to compare made-up ones.
func linkerFlags(kubernetes, kwok string) string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetes, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := []string{"-s", "-w", "-X", kwokModule + "/pkg/consts.Version=" + strings.TrimPrefix(kwok, "v")}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X", pkg+".gitVersion="+kubernetes,
			"-X", pkg+".gitMajor="+major,
			"-X", pkg+".gitMinor="+minor,
			"-X", pkg+".gitCommit=none",
			"-X", pkg+".gitTreeState=clean",
		)
	}
	return strings.Join(flags, " ")
}

func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	return run(ctx, dir, io.Discard, args...)
}

// run calls the go command, without cgo: the programs then need no C compiler to build and no libraries to run.
func run(ctx context.Context, dir string, watcher io.Writer, args ...string) (string, error) {
	var stdout bytes.Buffer
	var complaints tail
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout = &stdout
	cmd.Stderr = io.MultiWriter(watcher, &complaints)
	// Interrupted, the go command ends its compilers and removes its temporary files; killed, it would not.
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
