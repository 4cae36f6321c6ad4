package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// Output of localkube when the API server answers and when everything works.
const (
	servingLine = "serving"
	readyLine   = "ready"
)

// launchControlPlane returns when the API server works; the controllers need a little longer.
func (c *Cluster) launchControlPlane(ctx context.Context) error {
	command := process.Command{
		Name:     "localkube",
		Path:     c.binaries.Localkube,
		Args:     c.controlPlaneArgs(),
		Log:      c.path("localkube.log"),
		Lines:    true,
		Detached: c.options.Detached,
	}
	if c.options.Inside != nil {
		listener, err := c.options.listen()
		if err != nil {
			return err
		}
		defer listener.Close()
		command.Files = []*os.File{listener}
		command.Enter = c.options.Inside.Enter
	}
	p, err := process.Start(command)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.controlPlane = p
	c.mu.Unlock()
	return p.WaitForLine(ctx, servingLine)
}

func (c *Cluster) controlPlaneArgs() []string {
	args := []string{"--dir=" + c.dir, "--port=" + strconv.Itoa(c.options.Port), "--audit=" + strconv.FormatBool(c.options.Audit)}
	if inside := c.options.Inside; inside != nil {
		args = append(args, "--node-address="+inside.Address, "--listener-fd=3")
	}
	for _, further := range []struct {
		flag   string
		values []string
	}{
		{"--apiserver-arg=", c.options.APIServerArgs},
		{"--controller-manager-arg=", c.options.ControllerManagerArgs},
		{"--scheduler-arg=", c.options.SchedulerArgs},
	} {
		for _, value := range further.values {
			args = append(args, further.flag+value)
		}
	}
	return args
}

// StopControlPlane stops the API server, the controllers and the scheduler. The nodes continue, like real ones.
// StartControlPlane starts it again.
func (c *Cluster) StopControlPlane() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.controlPlane == nil {
		return errors.New("stopping the control plane: it is not running")
	}
	if err := c.controlPlane.Stop(); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	c.controlPlane = nil
	return nil
}

// StartControlPlane starts a control plane that was stopped, on the same port and with the same data. It returns when
// it works again and the nodes are ready. Clients that were without a server for a long time reconnect with a delay,
// including the simulated nodes: after a minute, pods may start and end half a minute late.
func (c *Cluster) StartControlPlane(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.launchControlPlane(ctx); err != nil {
		return fmt.Errorf("starting the control plane again: %w", err)
	}
	if err := c.controlPlane.WaitForLine(ctx, readyLine); err != nil {
		return fmt.Errorf("starting the control plane again: %w", err)
	}
	return c.WaitForNodes(ctx)
}
