package cluster

import (
	"fmt"

	"minicluster.internal/operator/test/cluster/process"
)

const (
	// stagesFile says how nodes and pods behave.
	stagesFile = "test/kube/kwok/stages.yaml"
	// podCIDR is what pods get addresses from; nothing answers there.
	podCIDR = "10.244.0.0/16"
	// nodeUser is whom the simulation presents itself as, so that its requests are not counted with a test's.
	nodeUser = "kwok"
)

func (c *Cluster) startKwok(stages string) error {
	kubeconfig, err := c.KubeconfigFor(nodeUser, adminGroup)
	if err != nil {
		return err
	}
	p, err := process.Start(process.Command{
		Name: "kwok",
		Path: c.binaries.Kwok,
		Args: []string{
			"--config=" + stages,
			"--kubeconfig=" + kubeconfig,
			"--manage-all-nodes=true",
			"--cidr=" + podCIDR,
			"--node-ip=127.0.0.1",
			// No port, so no server that imitates a kubelet's: it would listen on all addresses.
			"--node-port=0",
			"--node-lease-duration-seconds=40",
		},
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
