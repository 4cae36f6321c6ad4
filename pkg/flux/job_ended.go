package flux

import (
	"context"
	"syscall"
)

// endedAttrs are the requested attributes of jobs that have ended; Flux 0.49 knows all of them.
var endedAttrs = [...]string{
	"state", "name", "queue", "userid", "nnodes", "ncores", "ntasks", "ranks", "t_submit", "t_run", "t_inactive", "result", "waitstatus",
}

// Result is how a job ended (RFC 21).
type Result int

// The results of jobs.
const (
	ResultCompleted Result = 1
	ResultFailed    Result = 2
	ResultCanceled  Result = 4
	ResultTimeout   Result = 8
)

// String returns the name of a result in lower case.
func (r Result) String() string {
	switch r {
	case ResultCompleted:
		return "completed"
	case ResultFailed:
		return "failed"
	case ResultCanceled:
		return "canceled"
	case ResultTimeout:
		return "timeout"
	}
	return "unknown"
}

// EndedJob is a job that has ended.
type EndedJob struct {
	Job

	// Started is when it got its resources, in seconds since 1970; 0 if it never did.
	Started float64 `json:"t_run"`
	// Result is how it ended.
	Result Result `json:"result"`
	// WaitStatus is the largest status of its tasks, as of wait(2); nil if no task was started.
	WaitStatus *int `json:"waitstatus"`
}

// ExitCode returns the exit code of a job as a shell shows it; ok is false if no task was started.
func (j *EndedJob) ExitCode() (code int, ok bool) {
	if j.WaitStatus == nil {
		return 0, false
	}
	status := syscall.WaitStatus(*j.WaitStatus) //nolint:gosec // 16 bits
	if status.Signaled() {
		return 128 + int(status.Signal()), true
	}
	return status.ExitStatus(), true
}

// EndedJobs lists the jobs of all users that have ended, from the latest.
func (c *Client) EndedJobs(ctx context.Context) ([]EndedJob, error) {
	return listJobs[EndedJob](ctx, c, JobInactive, 0, endedAttrs[:])
}
