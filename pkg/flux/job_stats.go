package flux

import "context"

// JobCounts are numbers of jobs of an instance, or of one of its queues.
type JobCounts struct {
	// Queue is the name of the queue; empty for all jobs.
	Queue string `json:"name,omitempty"`
	// States are the numbers by state, without purged jobs.
	States struct {
		Depend   int `json:"depend"`
		Priority int `json:"priority"`
		Sched    int `json:"sched"`
		Run      int `json:"run"`
		Cleanup  int `json:"cleanup"`
		Inactive int `json:"inactive"`
		Total    int `json:"total"`
	} `json:"job_states"`
	// Each inactive job is in one of these, and purged jobs are in none. [Client.JobStats] corrects the numbers of
	// versions of Flux that count differently.
	Successful int `json:"successful"`
	Failed     int `json:"failed"`
	Canceled   int `json:"canceled"`
	TimedOut   int `json:"timeout"`
	// Purged is the number of inactive jobs that were removed.
	Purged int `json:"inactive_purged"`
}

// JobStats are the numbers of all jobs, and of those of each named queue.
type JobStats struct {
	JobCounts
	Queues []JobCounts `json:"queues"`
}

// JobStats queries rank 0: service job-list.job-stats, open to guests.
func (c *Client) JobStats(ctx context.Context) (JobStats, error) {
	var out JobStats
	err := c.Call(ctx, "job-list.job-stats", Leader, struct{}{}, &out)
	out.apart()
	for i := range out.Queues {
		out.Queues[i].apart()
	}
	return out, err
}

// apart subtracts canceled and timed out jobs from the failed ones, where Flux counts them twice: before 0.53.
func (c *JobCounts) apart() {
	if c.Successful+c.Failed+c.Canceled+c.TimedOut > c.States.Inactive {
		c.Failed = max(0, c.Failed-c.Canceled-c.TimedOut)
	}
}

// KnownJobs returns the number of jobs that the instance has accepted and not purged: service job-manager.stats-get.
// JobStats follows with a delay, and does not count jobs in state "new"; these are the difference.
func (c *Client) KnownJobs(ctx context.Context) (int, error) {
	var out struct {
		Active   int `json:"active_jobs"`
		Inactive int `json:"inactive_jobs"`
	}
	err := c.Call(ctx, "job-manager.stats-get", Leader, struct{}{}, &out)
	return out.Active + out.Inactive, err
}
