// Package kubebin builds the programs of a local Kubernetes from the Go module in test/kube, and finds them.
package kubebin

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DirVariable names the environment variable that says where built programs are, for machines that get them from
// elsewhere. What it names is used as it is.
const DirVariable = "MINICLUSTER_BIN"

// Binaries are the paths of the programs.
type Binaries struct {
	// Localkube is the control plane in one process.
	Localkube string
	// Kwok simulates nodes and their pods.
	Kwok string
	// Kubectl is the client of the same version.
	Kubectl string
}

func binariesIn(dir string) Binaries {
	return Binaries{
		Localkube: filepath.Join(dir, "localkube"),
		Kwok:      filepath.Join(dir, "kwok"),
		Kubectl:   filepath.Join(dir, "kubectl"),
	}
}

func (b Binaries) missing() []string {
	var missing []string
	for _, path := range []string{b.Localkube, b.Kwok, b.Kubectl} {
		if !isFile(path) {
			missing = append(missing, filepath.Base(path))
		}
	}
	return missing
}

// Ensure returns programs that are up to date, which may mean to build them first: minutes the first time, tens of
// milliseconds from then on. What it does is told to the writer, which may be nil.
func Ensure(ctx context.Context, root string, log io.Writer) (Binaries, error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		found := binariesIn(dir)
		if missing := found.missing(); len(missing) > 0 {
			return Binaries{}, fmt.Errorf("%s=%s does not hold %q: unset it to have them built in the repository", DirVariable, dir, missing)
		}
		return found, nil
	}
	if log == nil {
		log = io.Discard
	}
	dir := filepath.Join(root, "bin")
	if err := build(ctx, filepath.Join(root, moduleDir), dir, log); err != nil {
		return Binaries{}, fmt.Errorf("building Kubernetes (try hack/build-kube.sh to see it alone): %w", err)
	}
	return binariesIn(dir), nil
}
