// Package cluster starts a real Kubernetes on this machine for tests, the demo and the benchmark: the control plane
// in one process, and nodes that only pretend to run their pods (kwok). Every cluster has its own directory and port,
// so any number can run concurrently; all of it listens on the loopback interface only and needs no root.
//
// What a simulated pod does is controlled by annotations, see SucceedPod and the Annotation constants.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// Names in the cluster's directory that this package and localkube share.
const (
	kubeconfigFile = "kubeconfig"
	auditLogFile   = "audit.log"
	pkiDir         = "pki"
)

// startTimeout is generous: a machine that runs several packages' tests at once is busy. localkube gives up earlier and
// reports why.
const startTimeout = 10 * time.Minute

// Cluster is a running Kubernetes. Its methods may be called concurrently, except for the ones that stop and start
// programs.
type Cluster struct {
	options   Options
	binaries  kubebin.Binaries
	dir       string
	stages    string
	usage     string
	temporary bool
	config    *rest.Config
	client    kubernetes.Interface
	requests  *AuditLog

	mu           sync.Mutex
	controlPlane *process.Process
	kwok         *process.Process
	// metricsServer is nil if none was requested.
	metricsServer *process.Process
}

// Start returns when the control plane works and all nodes are ready to run pods. If necessary it builds Kubernetes
// first. The context only applies to the start: a cluster runs until Stop, or until the process that started it ends.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options = options.withDefaults()
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	binaries, err := kubebin.Ensure(ctx, root, options.Log)
	if err != nil {
		return nil, err
	}
	dir, temporary, err := options.stateDir()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		options: options, binaries: binaries, dir: dir, temporary: temporary,
		stages: filepath.Join(root, filepath.FromSlash(stagesFile)),
		usage:  filepath.Join(root, filepath.FromSlash(usageFile)),
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cluster in %s: %w", dir, err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	begin := time.Now()
	if c.options.Port == 0 {
		port, err := portOf(c.Kubeconfig())
		if err != nil {
			return err
		}
		c.options.Port = port
	}
	if err := c.launchControlPlane(ctx); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	// The nodes start while the controllers do.
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.controlPlane.WaitForLine(groupCtx, readyLine) })
	if c.options.Inside != nil {
		return group.Wait()
	}
	group.Go(func() error {
		if err := c.startKwok(); err != nil {
			return err
		}
		return c.kwok.During(groupCtx, func(ctx context.Context) error { return c.AddNodes(ctx, c.options.Nodes) })
	})
	if c.options.MetricsServer {
		group.Go(func() error { return c.startMetricsServer(groupCtx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(c.options.Log, "Kubernetes with %d nodes is ready after %.1f s\n", c.options.Nodes, time.Since(begin).Seconds())
	return nil
}

// connect also fixes the port: a control plane that is restarted must have the address that its clients expect.
func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the cluster's kubeconfig: %w", err)
	}
	// Without a limit in the client, which would affect measurements of tests.
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("creating a client of the cluster: %w", err)
	}
	if c.options.Port, err = portOf(c.Kubeconfig()); err != nil {
		return err
	}
	c.config, c.client = config, client
	c.requests = newAuditLog(c.path(auditLogFile), 0)
	return nil
}

// Stop stops the cluster and removes its directory if it is a temporary one. It may be called more than once.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var group errgroup.Group
	for _, p := range []*process.Process{c.controlPlane, c.kwok, c.metricsServer} {
		if p != nil {
			group.Go(p.Stop)
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("stopping the cluster in %s: %w", c.dir, err)
	}
	c.controlPlane, c.kwok, c.metricsServer = nil, nil, nil
	if c.temporary {
		if err := os.RemoveAll(c.dir); err != nil {
			return fmt.Errorf("removing the cluster's directory: %w", err)
		}
	}
	return nil
}

// Config returns the administrator's client configuration, without a limit on requests. Every call returns a copy.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Client returns the administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path(kubeconfigFile) }

// KubectlPath returns the path of the kubectl that Kubectl runs.
func (c *Cluster) KubectlPath() string { return c.binaries.Kubectl }

// Dir returns the directory with the cluster's state and the logs of its programs.
func (c *Cluster) Dir() string { return c.dir }

func (c *Cluster) path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// Process is a program of the cluster.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// Processes returns the running programs of the cluster.
func (c *Cluster) Processes() []Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	var processes []Process
	for _, p := range []*process.Process{c.controlPlane, c.kwok, c.metricsServer} {
		if p != nil {
			processes = append(processes, Process{Name: p.Name(), PID: p.PID()})
		}
	}
	return processes
}
