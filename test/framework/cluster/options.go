package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/tools/clientcmd"
)

// DefaultNodes is the default number of simulated nodes.
const DefaultNodes = 4

// Options configure a cluster. The zero value is a cluster of DefaultNodes nodes in a temporary directory.
type Options struct {
	// Dir contains the cluster's state. If empty, it is a temporary directory that Stop removes. A directory of an
	// earlier cluster continues that cluster, on the same port.
	Dir string
	// Nodes is the number of simulated nodes; 0 means DefaultNodes, less than 0 none.
	Nodes int
	// NodeCapacity is the capacity of each simulated node; nil means 64 CPUs, 256 GiB and 1000 pods.
	NodeCapacity corev1.ResourceList
	// MetricsServer starts a metrics-server for the usage of simulated pods in AnnotationCPU and AnnotationMemory: for
	// "kubectl top" and for autoscaling. The nodes then have a separate loopback address, which needs Linux.
	MetricsServer bool
	// Port of the API server on 127.0.0.1; 0 selects a free one.
	Port int
	// Audit makes the API server log every request, for Audit and RequestCounts.
	Audit bool
	// APIServerArgs, ControllerManagerArgs and SchedulerArgs are further flags of these components; they override those
	// of localkube.
	APIServerArgs         []string
	ControllerManagerArgs []string
	SchedulerArgs         []string
	// Log gets a line about steps that take time, such as building Kubernetes. It may be nil.
	Log io.Writer
	// Detached lets the cluster outlive the process that started it.
	Detached bool
	// Inside starts the control plane in other namespaces, for real nodes. In this case there are no simulated nodes.
	Inside *Inside
}

// Inside describes where a control plane for real nodes runs: package test/framework/node provides it.
type Inside struct {
	// Enter moves the calling thread, and programs that are started from it, there. See process.Command.
	Enter func() error
	// Address is an IPv4 address in it, where nodes and pods reach the API server. Other clients use 127.0.0.1, as
	// always.
	Address string
}

// listen opens the port of the API server here, for a control plane that runs in a network without other access.
func (o Options) listen() (*os.File, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: o.Port})
	if err != nil {
		return nil, fmt.Errorf("opening the API server's port: %w", err)
	}
	file, err := listener.File()
	if err := errors.Join(err, listener.Close()); err != nil {
		return nil, fmt.Errorf("passing the API server's port: %w", err)
	}
	return file, nil
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = DefaultNodes
	}
	o.Nodes = max(o.Nodes, 0)
	if o.Inside != nil {
		o.Nodes = 0
	}
	if o.NodeCapacity == nil {
		o.NodeCapacity = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("64"),
			corev1.ResourceMemory: resource.MustParse("256Gi"),
			corev1.ResourcePods:   resource.MustParse("1000"),
		}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

// stateDir returns the absolute path of the directory, and whether Stop has to remove it.
func (o Options) stateDir() (dir string, temporary bool, err error) {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "minicluster-kube-")
		if err != nil {
			return "", false, fmt.Errorf("creating a directory for the cluster: %w", err)
		}
		return dir, true, nil
	}
	dir, err = filepath.Abs(o.Dir)
	if err != nil {
		return "", false, fmt.Errorf("finding the cluster's directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", false, fmt.Errorf("creating the cluster's directory: %w", err)
	}
	return dir, false, nil
}

// portOf returns the port in a kubeconfig, or 0 if the file does not exist.
func portOf(kubeconfig string) (int, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return 0, fmt.Errorf("reading the server's address in %s: %w", kubeconfig, err)
	}
	port, err := strconv.Atoi(server.Port())
	if err != nil {
		return 0, fmt.Errorf("reading the server's port in %s: %w", kubeconfig, err)
	}
	return port, nil
}
