package cluster

import (
	"errors"
	"fmt"

	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// stagesFile says how nodes and pods behave.
	stagesFile = "test/kube/kwok/stages.yaml"
	// podCIDR is what pods get addresses from. Nothing answers there: they are multicast addresses, to which no system
	// makes a connection, so that whoever tries learns it at once and no packet leaves the machine.
	podCIDR = "239.244.0.0/16"
	// nodeUser is whom the simulation presents itself as, so that its requests are not counted with a test's.
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
			// No port, so no server that imitates a kubelet's on all addresses.
			"--node-port=0",
			"--node-lease-duration-seconds=40",
		}, metrics...),
		// It would also read a configuration in the user's home directory, if there is one.
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

// StopNodes stops the simulation of the nodes: their pods stay as they are. StartNodes starts it again. Nodes that have
// been without an API server for long would take half a minute to notice that it is back; stopped before and started
// after that, they work at once, if their leases (40 s) have run out.
func (c *Cluster) StopNodes() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kwok == nil {
		return errors.New("stopping the nodes: they do not run")
	}
	if err := c.kwok.Stop(); err != nil {
		return fmt.Errorf("stopping the nodes: %w", err)
	}
	c.kwok = nil
	return nil
}

// StartNodes starts what StopNodes has stopped.
func (c *Cluster) StartNodes() error { return c.startKwok() }
