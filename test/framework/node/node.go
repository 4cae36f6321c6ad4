// Package node starts a Kubernetes with a real node on this machine, for end-to-end tests: containers run, names
// resolve, Services answer. Everything that belongs to it is in separate namespaces (network, mounts, process IDs);
// when their first process ends, all of it ends. Its network has no external access, and any number of nodes can run
// concurrently.
//
// It needs root, and runc, CNI plugins and iptables on the machine, see Missing. The control plane is that
// of package test/framework/cluster; a Node can do what a Cluster can.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// Addresses inside. They are the same for every node, since the networks are separate.
const (
	// Name is the name of the node.
	Name = "node-0"
	// Address is the address of the node, where DNS is also served.
	Address = "10.240.0.1"

	addressWithMask = Address + "/24"
	podCIDR         = "10.241.0.0/16"
	serviceCIDR     = "10.96.0.0/16"
	clusterDomain   = "cluster.local"
)

// readyLine is the line that the project's programs print when they are ready.
const readyLine = "ready"

// startTimeout is longer than those of the parts of a node.
const startTimeout = 12 * time.Minute

// Options configure a node. The zero value is one in a temporary directory.
type Options struct {
	// Cluster are the options of the control plane. It shares the directory of the node.
	Cluster cluster.Options
	// Images are archives to import before any pod starts, see Import.
	Images []string
	// MetricsServer measures resource usage, for "kubectl top" and for autoscaling on CPU.
	MetricsServer bool
}

// Node is a running Kubernetes with a real node. Its methods may be called concurrently.
type Node struct {
	*cluster.Cluster

	options   Options
	binaries  kubebin.NodeBinaries
	dir       string
	temporary bool
	sandbox   *sandbox
	initPID   int

	mu        sync.Mutex
	processes []*process.Process
}

// Start returns when pods run and names resolve. If necessary it builds Kubernetes first. The context only applies to
// the start: a node runs until Stop, or until the process that started it ends.
func Start(ctx context.Context, options Options) (*Node, error) {
	if options.Cluster.Log == nil {
		options.Cluster.Log = io.Discard
	}
	if missing := Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("starting a node: %w", errors.Join(missing...))
	}
	removeLeftovers(options.Cluster.Log)
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	binaries, err := kubebin.EnsureNode(ctx, root, options.Cluster.Log)
	if err != nil {
		return nil, err
	}
	// Here rather than inside, because building can take long.
	if _, err := kubebin.Ensure(ctx, root, options.Cluster.Log); err != nil {
		return nil, err
	}
	n := &Node{options: options, binaries: binaries}
	if err := n.prepareDir(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a node in %s: %w", n.dir, err), n.Stop())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	begin := time.Now()
	sandbox, err := startSandbox(ctx, n.binaries.Init, n.dir, n.options.Cluster.Detached)
	n.sandbox = sandbox
	if sandbox != nil {
		n.initPID = sandbox.pid()
	}
	if err != nil {
		return err
	}
	if err := sandbox.makeCgroups(); err != nil {
		return err
	}
	n.options.Cluster.Dir = n.dir
	n.options.Cluster.Inside = &cluster.Inside{Enter: sandbox.enter, Address: Address}

	// Containers need no API server, so containerd starts concurrently.
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		kube, err := cluster.Start(groupCtx, n.options.Cluster)
		n.Cluster = kube
		return err
	})
	group.Go(func() error {
		if err := n.startContainerd(groupCtx); err != nil {
			return err
		}
		return n.importFirstImages(groupCtx)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{n.startKubelet, n.startKubeProxy, n.startDNS, n.startMetricsServer, n.waitForNode} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(n.options.Cluster.Log, "A node is ready after %.1f s\n", time.Since(begin).Seconds())
	return nil
}

// Stop ends the node and all of its containers, and removes everything that was created for it. It may be called more
// than once.
func (n *Node) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	if n.sandbox != nil {
		errs = append(errs, n.sandbox.stop())
	}
	// Now these only have to notice that their processes have ended.
	for _, p := range n.processes {
		errs = append(errs, p.Stop())
	}
	if n.Cluster != nil {
		errs = append(errs, n.Cluster.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping the node in %s: %w", n.dir, err)
	}
	n.sandbox, n.processes = nil, nil
	if n.temporary {
		if err := os.RemoveAll(n.dir); err != nil {
			return fmt.Errorf("removing the node's directory: %w", err)
		}
	}
	return nil
}

// launch starts a program of the node in its namespaces.
func (n *Node) launch(name, path string, lines bool, args ...string) (*process.Process, error) {
	p, err := process.Start(process.Command{
		Name:     name,
		Path:     path,
		Args:     args,
		Log:      n.path(name + ".log"),
		Lines:    lines,
		Detached: n.options.Cluster.Detached,
		Enter:    n.sandbox.enter,
	})
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.processes = append(n.processes, p)
	return p, nil
}

// Enter moves the calling thread into the node's namespaces, where pods can be reached. It is for process.Command,
// and process.Within.
func (n *Node) Enter() error { return n.sandbox.enter() }

// InitPID returns the process ID of the node's first process: "nsenter --target PID --net --mount --pid" enters the
// node.
func (n *Node) InitPID() int { return n.initPID }

func (n *Node) path(names ...string) string {
	return filepath.Join(append([]string{n.dir}, names...)...)
}
