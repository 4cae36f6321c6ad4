package cluster

import (
	"errors"
	"fmt"

	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// stagesFile defines the behavior of nodes and pods.
	stagesFile = "test/kube/kwok/stages.yaml"
	// podCIDR is the range of addresses of pods. They are multicast addresses, to which no system opens a connection:
	// clients fail at once and no packet leaves the machine.
	podCIDR = "239.244.0.0/16"
	// nodeUser is the user of the simulation, so that its requests are not counted with those of a test.
	nodeUser = "kwok"
)

func (c *Cluster) startKwok() error {
	kubeconfig, err := c.KubeconfigFor(nodeUser, adminGroup)
	if err != nil {
		return err
	}
	metrics, err := c.kwokMetricsArgs()
	if err != nil {
		return err
	}
	p, err := process.Start(process.Command{
		Name: "kwok",
		Path: c.binaries.Kwok,
		Args: append([]string{
			"--config=" + c.stages,
			"--kubeconfig=" + kubeconfig,
			"--manage-all-nodes=true",
			"--cidr=" + podCIDR,
			"--node-ip=" + c.nodeAddress(),
			// No port: otherwise a server that imitates a kubelet's would listen on all addresses.
			"--node-port=0",
			"--node-lease-duration-seconds=40",
		}, metrics...),
		// Otherwise it would read a configuration in the user's home directory.
		Env:      []string{"KWOK_WORKDIR=" + c.dir},
		Log:      c.path("kwok.log"),
		Detached: c.options.Detached,
	})
	if err != nil {
		return fmt.Errorf("simulating nodes: %w", err)
	}
	c.mu.Lock()
	c.kwok = p
	c.mu.Unlock()
	return nil
}

// StopNodes stops the simulation of the nodes: their pods do not change. StartNodes starts it again. Nodes that were
// without an API server for a long time would reconnect only after half a minute. If they are stopped before and
// started after that, they work at once, provided that their leases (40 s) have expired.
func (c *Cluster) StopNodes() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kwok == nil {
		return errors.New("stopping the nodes: they are not running")
	}
	if err := c.kwok.Stop(); err != nil {
		return fmt.Errorf("stopping the nodes: %w", err)
	}
	c.kwok = nil
	return nil
}

// StartNodes starts the simulation after StopNodes.
func (c *Cluster) StartNodes() error { return c.startKwok() }
