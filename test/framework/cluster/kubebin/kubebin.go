// Package kubebin builds the programs of a local Kubernetes from the Go module in test/kube, and finds them.
package kubebin

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DirVariable is the environment variable with the directory of programs that were built elsewhere. They are used
// unchanged.
const DirVariable = "MINICLUSTER_BIN"

// Binaries are the paths of the programs.
type Binaries struct {
	// Localkube is the control plane in one process.
	Localkube string
	// Kwok simulates nodes and their pods.
	Kwok string
	// Kubectl is the client of the same version.
	Kubectl string
	// MetricsServer serves the resource usage of pods for autoscalers.
	MetricsServer string
}

// NodeBinaries are the paths of the additional programs of a real node that are built here: runc and the CNI plugins
// are not.
type NodeBinaries struct {
	// Init holds the namespaces of the node.
	Init      string
	Kubelet   string
	KubeProxy string
	// CoreDNS has only the plugins that a test needs.
	CoreDNS string
	// Containerd runs containers, by Shim; Ctr imports images.
	Containerd, Shim, Ctr string
}

func binariesIn(dir string) Binaries {
	return Binaries{
		Localkube:     filepath.Join(dir, "localkube"),
		Kwok:          filepath.Join(dir, "kwok"),
		Kubectl:       filepath.Join(dir, "kubectl"),
		MetricsServer: filepath.Join(dir, "metrics-server"),
	}
}

func nodeBinariesIn(dir string) NodeBinaries {
	return NodeBinaries{
		Init:       filepath.Join(dir, "nodeinit"),
		Kubelet:    filepath.Join(dir, "kubelet"),
		KubeProxy:  filepath.Join(dir, "kube-proxy"),
		CoreDNS:    filepath.Join(dir, "coredns"),
		Containerd: filepath.Join(dir, "containerd"),
		Shim:       filepath.Join(dir, "containerd-shim-runc-v2"),
		Ctr:        filepath.Join(dir, "ctr"),
	}
}

// Ensure returns programs that are up to date, and builds them first if necessary: this takes minutes the first time,
// and tens of milliseconds later. It reports progress to the writer, which may be nil.
func Ensure(ctx context.Context, root string, log io.Writer) (Binaries, error) {
	dir, err := ensure(ctx, root, log, clusterSet())
	if err != nil {
		return Binaries{}, err
	}
	return binariesIn(dir), nil
}

// EnsureNode does the same for the programs of a real node. They are a separate set, so that tests that do not need
// them do not wait for them.
func EnsureNode(ctx context.Context, root string, log io.Writer) (NodeBinaries, error) {
	dir, err := ensure(ctx, root, log, nodeSet())
	if err != nil {
		return NodeBinaries{}, err
	}
	return nodeBinariesIn(dir), nil
}

func ensure(ctx context.Context, root string, log io.Writer, s set) (dir string, err error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		if missing := s.missing(dir); len(missing) > 0 {
			return "", fmt.Errorf("%s=%s does not contain %q: unset it to build the programs in the repository", DirVariable, dir, missing)
		}
		return dir, nil
	}
	if log == nil {
		log = io.Discard
	}
	dir = filepath.Join(root, "bin")
	if err := build(ctx, filepath.Join(root, moduleDir), dir, log, s); err != nil {
		return "", fmt.Errorf("building Kubernetes (run hack/build-kube.sh to repeat only this step): %w", err)
	}
	return dir, nil
}
