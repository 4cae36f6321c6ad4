package flux

import "context"

// jobAttrs are asked for; all are known since Flux 0.49.
var jobAttrs = [...]string{
	"state", "name", "queue", "userid", "urgency", "priority", "nnodes", "ncores", "ntasks", "ranks", "t_submit",
}

// anyResult is the set of the four results that a job can end with.
const anyResult = 15

// Jobs lists the jobs of all users in the states given, the pending ones in the
// order of their priority, the running ones from the latest: service
// job-list.list, open to guests. At most limit come, and all if it is 0.
//
// Where attributes are named, nothing but those is known of the jobs, and their ids:
// that is what makes a long list cheap.
func (c *Client) Jobs(ctx context.Context, states JobState, limit int, attrs ...string) ([]Job, error) {
	type constraint struct {
		States []string `json:"states"`
	}
	if len(attrs) == 0 {
		attrs = jobAttrs[:]
	}
	in := struct {
		Limit      int        `json:"max_entries"`
		Attrs      []string   `json:"attrs"`
		Constraint constraint `json:"constraint"`
		// Before Flux 0.53 there are no constraints; these are ignored since.
		UserID  uint32   `json:"userid"`
		States  JobState `json:"states"`
		Results int      `json:"results"`
	}{
		Limit: limit, Attrs: attrs, Constraint: constraint{states.Names()},
		UserID: userUnknown, States: states, Results: anyResult,
	}
	var out struct {
		Jobs []Job `json:"jobs"`
	}
	err := c.Call(ctx, "job-list.list", Leader, in, &out)
	return out.Jobs, err
}
