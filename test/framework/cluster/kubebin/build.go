package kubebin

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minicluster.internal/operator/test/framework/gobuild"
)

const lockFile = ".kube-lock"

// build builds the programs into a directory; it does nothing if they exist and nothing has changed.
func build(ctx context.Context, module, dir string, log io.Writer, s set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating the directory for the programs: %w", err)
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
	// Without a readable stamp the programs are built, which is always correct.
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want && len(s.missing(dir)) == 0 {
		return nil
	}
	if err := compile(ctx, module, dir, log, s); err != nil {
		return err
	}
	// A new file, as the programs are: the folder may share its files with those of other working trees by hard links.
	if err := os.WriteFile(stamp+".new", []byte(want), 0o644); err != nil {
		return fmt.Errorf("recording what was built: %w", err)
	}
	if err := os.Rename(stamp+".new", stamp); err != nil {
		return fmt.Errorf("recording what was built: %w", err)
	}
	return nil
}

func compile(ctx context.Context, module, dir string, log io.Writer, s set) error {
	progress := gobuild.NewProgress(log)
	defer progress.Finish()

	// Listing fetches missing modules, so it comes first and its progress is shown too.
	progress.Say("looking for the sources of Kubernetes")
	versions, err := gobuild.Run(ctx, module, environment(), progress, "list", "-m", "-f", "{{.Version}}", kubernetesModule, kwokModule)
	if err != nil {
		return err
	}
	kubernetes, kwok, _ := strings.Cut(strings.TrimSpace(versions), "\n")
	// The product is compiled with the same flags, so Go's cache shares the common packages.
	flags := []string{"-trimpath", "-gcflags=all=-dwarf=false", "-buildvcs=false", "-ldflags=" + linkerFlags(kubernetes, kwok)}
	stale, err := gobuild.Stale(ctx, module, environment(), progress, slices.Concat(flags, s.packages)...)
	if err != nil {
		return err
	}
	progress.Compiling("Kubernetes", stale)
	args := slices.Concat([]string{"build", "-v", "-o", dir + string(filepath.Separator)}, flags, s.packages)
	if _, err := gobuild.Run(ctx, module, environment(), progress, args...); err != nil {
		return err
	}
	progress.Say(fmt.Sprintf("built %s (Kubernetes %s)", s, kubernetes))
	return nil
}

// linkerFlags omits debug information (a third of 300 MB) and sets the versions, which the release scripts of the
// projects set otherwise; kubectl rejects invented versions.
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
	return gobuild.Run(ctx, dir, environment(), io.Discard, args...)
}

// environment disables cgo: the programs then need neither a C compiler to build nor libraries to run.
func environment() []string { return []string{"CGO_ENABLED=0", "GOWORK=off"} }
