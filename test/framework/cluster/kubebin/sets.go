package kubebin

import (
	"path"
	"path/filepath"
	"strings"
)

const (
	kubernetesModule    = "k8s.io/kubernetes"
	kwokModule          = "sigs.k8s.io/kwok"
	metricsServerModule = "sigs.k8s.io/metrics-server"
	containerdModule    = "github.com/containerd/containerd/v2"
)

// set is a set of programs that are built together.
type set struct {
	// stamp is the file that records what they were built from.
	stamp string
	// packages are the packages of the programs in the module. The name of each program is the last element of its
	// package.
	packages []string
}

func clusterSet() set {
	return set{
		stamp: ".kube-stamp",
		packages: []string{
			"./localkube",
			kwokModule + "/cmd/kwok",
			kubernetesModule + "/cmd/kubectl",
			metricsServerModule + "/cmd/metrics-server",
		},
	}
}

func nodeSet() set {
	return set{
		stamp: ".node-stamp",
		packages: []string{
			"./nodeinit",
			"./coredns",
			kubernetesModule + "/cmd/kubelet",
			kubernetesModule + "/cmd/kube-proxy",
			containerdModule + "/cmd/containerd",
			containerdModule + "/cmd/containerd-shim-runc-v2",
			containerdModule + "/cmd/ctr",
		},
	}
}

func (s set) programs() []string {
	var names []string
	for _, pkg := range s.packages {
		names = append(names, path.Base(pkg))
	}
	return names
}

func (s set) missing(dir string) []string {
	var missing []string
	for _, name := range s.programs() {
		if !isFile(filepath.Join(dir, name)) {
			missing = append(missing, name)
		}
	}
	return missing
}

// String lists the programs.
func (s set) String() string {
	names := s.programs()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
