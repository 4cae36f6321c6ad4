package flux

import "context"

// jobAttrs are the requested attributes; Flux 0.49 knows all of them.
var jobAttrs = [...]string{
	"state", "name", "queue", "userid", "urgency", "priority", "nnodes", "ncores", "ntasks", "ranks", "t_submit", "expiration",
}

// anyResult is the set of the four results of a job.
const anyResult = 15

// Jobs lists the jobs of all users in the given states, pending jobs by priority, running jobs from the latest:
// service job-list.list, open to guests. It returns at most limit jobs, or all if that is 0.
//
// If attributes are named, the jobs have only these and their IDs, which makes a long list cheap.
func (c *Client) Jobs(ctx context.Context, states JobState, limit int, attrs ...string) ([]Job, error) {
	if len(attrs) == 0 {
		attrs = jobAttrs[:]
	}
	return listJobs[Job](ctx, c, states, limit, attrs)
}

// listJobs lists jobs with some attributes.
func listJobs[T any](ctx context.Context, c *Client, states JobState, limit int, attrs []string) ([]T, error) {
	type constraint struct {
		States []string `json:"states"`
	}
	in := struct {
		Limit      int        `json:"max_entries"`
		Attrs      []string   `json:"attrs"`
		Constraint constraint `json:"constraint"`
		// Before Flux 0.53 there are no constraints; later versions ignore these fields.
		UserID  uint32   `json:"userid"`
		States  JobState `json:"states"`
		Results int      `json:"results"`
	}{
		Limit: limit, Attrs: attrs, Constraint: constraint{states.names()},
		UserID: userUnknown, States: states, Results: anyResult,
	}
	var out struct {
		Jobs []T `json:"jobs"`
	}
	err := c.Call(ctx, "job-list.list", Leader, in, &out)
	return out.Jobs, err
}
