// Package neighbour builds programs that share a cluster with the operator, such as queues and node autoscalers, for
// tests against the real ones. Each has a separate Go module in test/neighbours, since their dependencies differ from
// those of the product. The tests are slow, so they run only if they are requested ([Need]).
package neighbour

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/gobuild"
)

// Variable is the environment variable that requests the tests. "make neighbours" sets it.
const Variable = "MINICLUSTER_NEIGHBOURS"

// Program is a program of another project.
type Program struct {
	// Name is the name of the folder in test/neighbours with the module.
	Name string
	// Title is the name of the project.
	Title string
	// Module is the path of the module that has the program and its manifests.
	Module string
	// Package is the package of the program.
	Package string
}

// Kueue admits Jobs within quota.
func Kueue() Program {
	return Program{Name: "kueue", Title: "Kueue", Module: "sigs.k8s.io/kueue", Package: "sigs.k8s.io/kueue/cmd/kueue"}
}

// Karpenter buys nodes for pods. The program has the simulated cloud of Karpenter's own tests.
func Karpenter() Program {
	return Program{Name: "karpenter", Title: "Karpenter", Module: "sigs.k8s.io/karpenter", Package: "sigs.k8s.io/karpenter/kwok"}
}

// Need skips a test unless tests with real neighbours are requested.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) == "" {
		t.Skipf("needs a real neighbour: %s is not set, make neighbours sets it", Variable)
	}
}

// Ensure builds the program if necessary and returns its path. It takes minutes the first time.
func (p Program) Ensure(ctx context.Context, root string, log io.Writer) (string, error) {
	program := filepath.Join(root, "bin", "neighbours", p.Name)
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", fmt.Errorf("creating the directory for the programs: %w", err)
	}
	progress := gobuild.NewProgress(log)
	defer progress.Finish()
	version, err := p.Version(ctx, root)
	if err != nil {
		return "", err
	}
	// The same flags as everywhere, so that Go's cache has each package once.
	args := []string{"-trimpath", "-gcflags=all=-dwarf=false", "-buildvcs=false", "-ldflags=-s -w", p.Package}
	stale, err := gobuild.Stale(ctx, p.moduleDir(root), environment(), progress, args...)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.Title, err)
	}
	progress.Compiling(p.Title+" "+version, stale)
	args = append([]string{"build", "-v", "-o", program}, args...)
	if _, err := gobuild.Run(ctx, p.moduleDir(root), environment(), progress, args...); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Title, err)
	}
	return program, nil
}

// Source returns the folder with the files of the program's module, for example its manifests.
func (p Program) Source(ctx context.Context, root string) (string, error) {
	return p.list(ctx, root, "{{.Dir}}")
}

// Version returns the version of the program's module.
func (p Program) Version(ctx context.Context, root string) (string, error) {
	return p.list(ctx, root, "{{.Version}}")
}

func (p Program) list(ctx context.Context, root, format string) (string, error) {
	output, err := gobuild.Run(ctx, p.moduleDir(root), environment(), io.Discard, "list", "-m", "-f", format, p.Module)
	if err != nil {
		return "", fmt.Errorf("finding the module of %s: %w", p.Title, err)
	}
	return strings.TrimSpace(output), nil
}

func (p Program) moduleDir(root string) string {
	return filepath.Join(root, "test", "neighbours", p.Name)
}

// Root returns the root of the repository.
func Root() (string, error) { return kubebin.Root(".") }

// environment disables cgo: the programs then need neither a C compiler to build nor libraries to run.
func environment() []string { return []string{"CGO_ENABLED=0", "GOWORK=off"} }
