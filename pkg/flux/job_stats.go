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
	// are taken off again. [Client.JobStats] sees to it that this is so of every
	// version of Flux.
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
	out.apart()
	for i := range out.Queues {
		out.Queues[i].apart()
	}
	return out, err
}

// apart takes what was canceled or timed out off the failures, where it was
// counted there, too: before Flux 0.53.
func (c *JobCounts) apart() {
	if c.Successful+c.Failed+c.Canceled+c.TimedOut > c.States.Inactive {
		c.Failed = max(0, c.Failed-c.Canceled-c.TimedOut)
	}
}

// KnownJobs is the number of jobs that the instance has taken in and not purged:
// service job-manager.stats-get. JobStats follows it a moment later, and does not
// count jobs in state "new"; those are the difference.
func (c *Client) KnownJobs(ctx context.Context) (int, error) {
	var out struct {
		Active   int `json:"active_jobs"`
		Inactive int `json:"inactive_jobs"`
	}
	err := c.Call(ctx, "job-manager.stats-get", Leader, struct{}{}, &out)
	return out.Active + out.Inactive, err
}
