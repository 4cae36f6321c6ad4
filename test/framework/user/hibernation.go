package user

import (
	"slices"
	"time"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// hibernation simulates the part of an agent that hibernates its cluster.
type hibernation struct {
	// running are the IDs of running jobs. saved is the state after they have ended.
	running []string
	saved   control.HibernateState
	// saving holds the phase Saving until Save is called; failing is the error of a save.
	saving  bool
	failing string
	idle    time.Duration
	// late is submitted when the queues stop, and then pending.
	late, pending int
	// stopped: the queues are stopped. canceled are jobs that were canceled at the deadline.
	stopped  bool
	canceled []string
	requests []control.Hibernate
}

// Running sets the jobs that run; none end them.
func (a *Agent) Running(ids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = ids
}

// Saves sets the response once the state is saved.
func (a *Agent) Saves(state control.HibernateState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.saved = state
}

// HoldSave decides whether the state is being saved without end.
func (a *Agent) HoldSave(hold bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.saving = hold
}

// FailSave makes each save fail, until it is called with "".
func (a *Agent) FailSave(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failing = why
}

// Idle sets for how long nothing has run.
func (a *Agent) Idle(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = d
}

// SubmitLate makes n jobs pending when the queues stop the next time, after the agent has reported that there is none.
func (a *Agent) SubmitLate(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.late = n
}

// Pending sets the number of jobs that are pending.
func (a *Agent) Pending(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = n
}

// Hibernations returns the requests to hibernate, without repetitions.
func (a *Agent) Hibernations() []control.Hibernate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// Stopped reports whether the queues are stopped.
func (a *Agent) Stopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped
}

func (a *Agent) hibernate(in control.Hibernate) control.HibernateState {
	if n := len(a.requests); n == 0 || a.requests[n-1] != in {
		a.requests = append(a.requests, in)
	}
	state := control.HibernateState{Phase: control.PhaseRunning, Running: len(a.running), RunningIDs: a.running, Pending: a.pending}
	switch {
	case in.Query:
		if len(a.running) == 0 && a.pending == 0 {
			state.IdleSeconds = int64(a.idle / time.Second)
		}
		return state
	case in.Cancel:
		a.stopped = false
		return state
	}
	a.stopped = true
	a.late, a.pending = 0, a.pending+a.late
	if len(a.running) > 0 && !in.Deadline.IsZero() && !time.Now().Before(in.Deadline) {
		a.canceled, a.running = a.running, nil
	}
	switch {
	case len(a.running) > 0, in.Idle && a.pending > 0:
		state.Phase = control.PhaseDraining
		return state
	case a.failing != "":
		return control.HibernateState{Phase: control.PhaseFailed, Message: a.failing}
	case a.saving:
		return control.HibernateState{Phase: control.PhaseSaving}
	}
	state = a.saved
	state.Phase, state.Canceled = control.PhaseSaved, a.canceled
	if in.Discard {
		state.Location = ""
	}
	return state
}
