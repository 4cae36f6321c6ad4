package flux

import "context"

const severityFatal = 0

// Raise raises a fatal exception of a type, such as "cancel", on a job, with a note for its user: service
// job-manager.raise, open to the job's user. A job that has ended is the error ENOENT.
func (c *Client) Raise(ctx context.Context, id JobID, exception, note string) error {
	return c.Call(ctx, "job-manager.raise", Leader, struct {
		ID       JobID  `json:"id"`
		Severity int    `json:"severity"`
		Type     string `json:"type"`
		Note     string `json:"note"`
	}{id, severityFatal, exception, note}, nil)
}

// CancelAll cancels the jobs of all users in the given states: service job-manager.raiseall, owner only. It returns
// their number. They may not have ended when it returns.
func (c *Client) CancelAll(ctx context.Context, states JobState, note string) (int, error) {
	in := struct {
		DryRun   bool     `json:"dry_run"`
		UserID   uint32   `json:"userid"`
		States   JobState `json:"states"`
		Severity int      `json:"severity"`
		Type     string   `json:"type"`
		Note     string   `json:"note"`
	}{UserID: userUnknown, States: states, Severity: severityFatal, Type: "cancel", Note: note}
	var out struct {
		Count int `json:"count"`
	}
	err := c.Call(ctx, "job-manager.raiseall", Leader, in, &out)
	return out.Count, err
}
