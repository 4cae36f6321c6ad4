package flux

import "context"

// JobCounts count jobs of an instance, or of one of its queues.
type JobCounts struct {
	// Queue is the queue's name; empty for all jobs.
	Queue string `json:"name,omitempty"`
	// States count by state; jobs that were purged from the instance are
	// not in them.
	States struct {
		Depend   int `json:"depend"`
		Priority int `json:"priority"`
		Sched    int `json:"sched"`
		Run      int `json:"run"`
		Cleanup  int `json:"cleanup"`
		Inactive int `json:"inactive"`
		Total    int `json:"total"`
	} `json:"job_states"`
	// Of the inactive jobs, each is in one of these; those that are purged
	// are taken off again.
	Successful int `json:"successful"`
	Failed     int `json:"failed"`
	Canceled   int `json:"canceled"`
	TimedOut   int `json:"timeout"`
	// Purged are inactive jobs that were removed.
	Purged int `json:"inactive_purged"`
}

// JobStats are the counts of all jobs, and of those of each named queue.
type JobStats struct {
	JobCounts
	Queues []JobCounts `json:"queues"`
}

// JobStats asks rank 0: service job-list.job-stats, open to guests.
func (c *Client) JobStats(ctx context.Context) (JobStats, error) {
	var out JobStats
	err := c.Call(ctx, "job-list.job-stats", Leader, struct{}{}, &out)
	return out, err
}
