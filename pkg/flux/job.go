package flux

import (
	"fmt"
	"math/bits"
)

// JobState is a state of a job, or a set of states (RFC 21).
type JobState uint32

// The states of a job, and sets of them.
const (
	JobNew      JobState = 1
	JobDepend   JobState = 2  // waits for its dependencies
	JobPriority JobState = 4  // waits for a priority
	JobSched    JobState = 8  // waits for resources
	JobRun      JobState = 16 // has resources
	JobCleanup  JobState = 32 // releases its resources
	JobInactive JobState = 64 // has ended

	JobPending = JobDepend | JobPriority | JobSched
	JobRunning = JobRun | JobCleanup
	JobActive  = JobPending | JobRunning
)

var jobStateNames = [...]string{"new", "depend", "priority", "sched", "run", "cleanup", "inactive"}

// String returns the name of a state in lower case.
func (s JobState) String() string {
	if i := bits.TrailingZeros32(uint32(s)); bits.OnesCount32(uint32(s)) == 1 && i < len(jobStateNames) {
		return jobStateNames[i]
	}
	return fmt.Sprintf("state %#x", uint32(s))
}

// names returns the names of the states of a set.
func (s JobState) names() []string {
	var names []string
	for i, name := range jobStateNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// JobID identifies a job within an instance.
type JobID uint64

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// String returns the format that commands print: ƒ and the number in base 58 (RFC 19).
func (id JobID) String() string {
	digits := make([]byte, 0, 12)
	for n := uint64(id); n > 0 || len(digits) == 0; n /= 58 {
		digits = append(digits, base58[n%58])
	}
	out := []byte("ƒ")
	for i := len(digits) - 1; i >= 0; i-- {
		out = append(out, digits[i])
	}
	return string(out)
}

// Job is an entry of a list of jobs. Unknown values are zero, or nil where zero has a meaning.
type Job struct {
	ID    JobID    `json:"id"`
	State JobState `json:"state"`
	Name  string   `json:"name,omitempty"`
	Queue string   `json:"queue,omitempty"`
	// UserID is the user who submitted it.
	UserID uint32 `json:"userid"`
	// Urgency is the value that the user set: 0 holds the job.
	Urgency *int `json:"urgency,omitempty"`
	// Priority is the value that the scheduler uses: 0 holds the job.
	Priority *int64 `json:"priority,omitempty"`
	// Nodes, Cores and Tasks are what it requests, or has.
	Nodes int `json:"nnodes,omitempty"`
	Cores int `json:"ncores,omitempty"`
	Tasks int `json:"ntasks,omitempty"`
	// Ranks are those that run it, or ran it.
	Ranks IDSet `json:"ranks,omitzero"`
	// Submitted is the time of submission, in seconds since 1970.
	Submitted float64 `json:"t_submit"`
	// Inactive is when it ended, in seconds since 1970. It is listed only if it is requested.
	Inactive float64 `json:"t_inactive,omitempty"`
	// Expiration is when the time limit ends the job, in seconds since 1970; 0 if it has none.
	Expiration float64 `json:"expiration,omitempty"`
}

// Held reports whether the job runs only after a user raises its urgency.
func (j Job) Held() bool {
	return (j.Urgency != nil && *j.Urgency == 0) || (j.Priority != nil && *j.Priority == 0)
}
