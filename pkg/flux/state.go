package flux

import "context"

// States of a broker that the project uses. There are more, and they differ between versions.
const (
	StateJoin     = "join"     // connects to its parent
	StateQuorum   = "quorum"   // waits for the quorum
	StateRun      = "run"      // runs
	StateCleanup  = "cleanup"  // stops running jobs
	StateShutdown = "shutdown" // waits until its children have left
)

// State returns the state of the connected broker, "run" while it runs: service state-machine.get, open to guests.
func (c *Client) State(ctx context.Context) (string, error) {
	var out struct {
		State string `json:"state"`
	}
	err := c.Call(ctx, "state-machine.get", AnyNode, nil, &out)
	return out.State, err
}
