// Command versions builds the control planes of several releases of Kubernetes from Go modules, runs a suite of the
// integration tests on each of them, and writes the results to docs/data/versions.json and README.md. It is not part
// of the gate, which runs all tests on one release.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/versions/results"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	minors := flag.String("kubernetes", "", "minor versions to test, for example 1.33,1.34; unset: all")
	build := flag.Bool("build", false, "only build them")
	flag.Parse()
	err := run(ctx, os.Stdout, *minors, *build)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, minors string, buildOnly bool) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	releases, err := selected(minors)
	if err != nil {
		return err
	}
	failed := false
	for _, release := range releases {
		fmt.Fprintf(out, "== Kubernetes %s\n", release)
		dir, err := kubebin.EnsureRelease(ctx, root, release, os.Stderr)
		if err != nil {
			return err
		}
		if buildOnly {
			continue
		}
		result, err := test(ctx, out, root, release, dir)
		if err != nil {
			return err
		}
		if err := record(root, result); err != nil {
			return err
		}
		failed = failed || slices.ContainsFunc(result.Topics, func(t results.Topic) bool { return t.Result != results.Passed })
	}
	if failed {
		return fmt.Errorf("tests failed: see above and %s", results.File)
	}
	return nil
}

// selected returns the releases of minor versions; all of them for "".
func selected(minors string) ([]string, error) {
	all := results.Releases()
	if minors == "" {
		return all, nil
	}
	var found []string
	for _, minor := range strings.Split(minors, ",") {
		i := slices.IndexFunc(all, func(release string) bool { return strings.HasPrefix(release, "v"+strings.TrimPrefix(minor, "v")+".") })
		if i < 0 {
			return nil, fmt.Errorf("--kubernetes: %q is none of %s", minor, strings.Join(all, ", "))
		}
		found = append(found, all[i])
	}
	return found, nil
}

// test runs the suite with the programs in a directory.
func test(ctx context.Context, out io.Writer, root, release, dir string) (results.Run, error) {
	head, err := head(ctx, root)
	if err != nil {
		return results.Run{}, err
	}
	o := outcomes{}
	for _, pkg := range packages() {
		if err := o.run(ctx, out, root, dir, pkg); err != nil {
			return results.Run{}, err
		}
	}
	return results.Run{
		Kubernetes: release, Date: time.Now().UTC().Format(time.DateOnly), Commit: head, Tests: len(o), Topics: o.topics(),
	}, nil
}

// record adds a run to the record and to README.md.
func record(root string, run results.Run) error {
	path := filepath.Join(root, filepath.FromSlash(results.File))
	all, err := results.Load(path)
	if err != nil {
		return err
	}
	before := all.Table()
	all.Add(run)
	if err := all.Save(path); err != nil {
		return err
	}
	readme := filepath.Join(root, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return fmt.Errorf("reading README.md: %w", err)
	}
	if !strings.Contains(string(text), before) {
		return fmt.Errorf("README.md does not contain the table of %s", results.File)
	}
	if err := os.WriteFile(readme, []byte(strings.Replace(string(text), before, all.Table(), 1)), 0o644); err != nil { //nolint:gosec // a file of the repository
		return fmt.Errorf("writing README.md: %w", err)
	}
	return nil
}
