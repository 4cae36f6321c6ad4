package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// What localkube prints when the API server answers and when everything works.
const (
	servingLine = "serving"
	readyLine   = "ready"
)

// launchControlPlane returns when the API server serves; the controllers need a little longer.
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

// StopControlPlane takes the API server away (and the controllers and the scheduler with it) from everybody who
// uses it. The nodes stay, as real ones would. StartControlPlane brings it back.
func (c *Cluster) StopControlPlane() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.controlPlane == nil {
		return errors.New("stopping the control plane: it does not run")
	}
	if err := c.controlPlane.Stop(); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	c.controlPlane = nil
	return nil
}

// StartControlPlane starts a control plane that was stopped: on the same port, with the same data. It returns when
// that works again and the nodes are ready. Whoever was without a server for long returns with a delay, and the
// simulated nodes are no exception: after a minute, pods may start and end half a minute late.
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
