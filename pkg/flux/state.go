package flux

import "context"

// States of a broker that others act on. There are more, and they differ
// between versions.
const (
	StateJoin     = "join"     // looks for its parent
	StateQuorum   = "quorum"   // waits until enough have joined
	StateRun      = "run"      // works
	StateCleanup  = "cleanup"  // ends what still runs
	StateShutdown = "shutdown" // waits until its children have left
)

// State is the state of the broker that the client is connected to, "run" while
// it works: service state-machine.get, open to guests.
func (c *Client) State(ctx context.Context) (string, error) {
	var out struct {
		State string `json:"state"`
	}
	err := c.Call(ctx, "state-machine.get", AnyNode, nil, &out)
	return out.State, err
}
