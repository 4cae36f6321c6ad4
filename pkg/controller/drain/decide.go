package drain

import (
	"time"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// DefaultAgentTimeout is how long an agent that does not answer is retried by default.
const DefaultAgentTimeout = 10 * time.Second

const (
	// pollInterval is how often the agent is asked whether ranks are idle.
	pollInterval = time.Second
	// settleInterval is the interval if no jobs run on the ranks: drains only have to reach a minimal age.
	settleInterval = 600 * time.Millisecond
	// maxWaitInterval is the longest time between two requests to an agent without which the Job does not shrink.
	maxWaitInterval = 15 * time.Second
	// maxUndrainInterval is the longest time between two attempts to undrain ranks.
	maxUndrainInterval = time.Minute
	// maxUndrainTime is how long undraining is retried without another reason to sync.
	maxUndrainTime = time.Hour
)

const (
	// maxNamedJobs is the number of jobs that a message names.
	maxNamedJobs = 3
	// maxJobID is the length of the longest ID of a job in a message.
	maxJobID = 24
	// maxExpiration is the end of the year 9999: later ends have no usual form.
	maxExpiration = 253402300800
)

// Input is everything that a decision depends on.
type Input struct {
	// Now is the current time, for messages only.
	Now time.Time
	// From and To are the current and the requested size of the Job.
	From, To int32
	// Elapsed is how long the drain lasts.
	Elapsed time.Duration
	// Timeout is how long to wait for jobs; nil means without limit.
	Timeout *time.Duration
	// AgentTimeout is how long an agent that does not answer is retried. Wait: it is retried until it answers, and ranks
	// that could not be drained are never removed.
	AgentTimeout time.Duration
	Wait         bool
	// Asked reports that a request was sent to the agent. Answer is its answer, nil if there is none yet.
	Asked  bool
	Answer *Answer
	// LastMessage is the last reported message about this drain; "" if there is none.
	LastMessage string
}

// Answer is the result of a request to the agent.
type Answer struct {
	State control.State
	// Err is why there is no state; Reached reports that the agent answered with an error.
	Err     error
	Reached bool
	// Permanent reports that a retry does not help.
	Permanent bool
	// Blocked says what may block the connection to the agent; "" if nothing hints at that.
	Blocked string
	// Failing is the time since the first of the failed attempts, and Failures their number.
	Failing  time.Duration
	Failures int
}

// Decision is what to do about a Job that has to shrink.
type Decision struct {
	// Ask: the agent must be asked, and the decision repeated.
	Ask bool
	// Shrink: resize the Job now.
	Shrink bool
	// Event is why the Job shrinks although ranks are busy; nil if they are idle.
	Event *Event
	// NothingDrained: no rank was ever drained, and there is nothing to undo.
	NothingDrained bool
	// Message says what the drain waits for.
	Message string
	// AskAfter is when to ask the agent again, RequeueAfter when to decide again; 0 if an answer of the agent triggers
	// it.
	AskAfter     time.Duration
	RequeueAfter time.Duration
}

// Event is a reason and a message.
type Event struct{ Reason, Message string }

// Reasons of the events about a Job that shrinks although ranks are busy.
const (
	ReasonTimedOut = "DrainTimedOut"
	ReasonSkipped  = "DrainSkipped"
)

// Decide decides about a drain that has started.
func Decide(in Input) Decision {
	ranks := Ranks(in.To, in.From)
	var d Decision
	timedOut := false
	if in.Timeout != nil {
		d.RequeueAfter = max(0, *in.Timeout-in.Elapsed)
		timedOut = d.RequeueAfter == 0
	}
	if timedOut && !in.Wait {
		return expired(in)
	}
	if !in.Asked {
		d.Ask = true
		return d
	}
	switch a := in.Answer; {
	case a == nil:
		d.Message = in.LastMessage
		if d.Message == "" {
			d.Message = messages.DrainStarted(ranks, in.From, in.To)
		}
	case a.Err != nil:
		unanswered(in, &d)
	case a.State.Idle:
		return Decision{Shrink: true}
	case timedOut:
		return expired(in)
	case a.State.Busy.Empty():
		d.Message = messages.DrainStarted(idsText(a.State.Leaving), in.From, in.To)
		d.askAgain(settleInterval)
	default:
		d.Message = busy(in)
		d.askAgain(pollInterval)
	}
	return d
}

// expired decides about a drain that reached its timeout.
func expired(in Input) Decision {
	return Decision{Shrink: true, Event: &Event{ReasonTimedOut, messages.DrainTimedOut(in.To, Ranks(in.To, in.From), *in.Timeout)}}
}

// busy returns the message about busy ranks, and about the jobs that end last.
func busy(in Input) string {
	state := in.Answer.State
	if len(state.LastJobs) == 0 && state.Jobs > 0 {
		return messages.DrainJobs(state.Jobs, idsText(state.Busy), in.From, in.To, in.Timeout)
	}
	var last []messages.EndingJob
	for _, job := range state.LastJobs[:min(len(state.LastJobs), maxNamedJobs)] {
		named := messages.EndingJob{ID: resources.Shorten(resources.Quote(job.ID), maxJobID)} // it comes from a pod of the user
		if job.Expiration > 0 && job.Expiration < maxExpiration {
			named.End = time.Unix(int64(job.Expiration), 0)
		}
		last = append(last, named)
	}
	return messages.DrainBusy(in.To, idsText(state.Busy), state.Jobs, last, in.Now, in.Timeout)
}

// unanswered decides about an agent that does not drain ranks.
func unanswered(in Input, d *Decision) {
	a, ranks := in.Answer, Ranks(in.To, in.From)
	reason := resources.Quote(a.Err.Error()) // the answer comes from a pod of the user
	if a.Blocked != "" {
		reason += "; " + a.Blocked
	}
	switch {
	case in.Wait && a.Permanent:
		d.Message = messages.DrainWaits(ranks, reason, in.From, in.To)
		d.askAgain(maxUndrainInterval)
	case in.Wait:
		d.Message = messages.DrainWaits(ranks, reason, in.From, in.To)
		d.askAgain(min(pollInterval<<min(max(a.Failures-1, 0), 10), maxWaitInterval))
	case a.Permanent || a.Failing >= in.AgentTimeout:
		d.NothingDrained = a.Permanent
		d.Shrink, d.Event = true, &Event{ReasonSkipped, messages.DrainSkipped(in.To, ranks, reason)}
		d.RequeueAfter = 0
	default:
		d.Message = messages.DrainUnanswered(a.Reached, in.AgentTimeout, in.From, in.To, a.Blocked)
		d.askAgain(pollInterval)
	}
}

func (d *Decision) askAgain(after time.Duration) {
	d.AskAfter = after
	if d.RequeueAfter == 0 || after < d.RequeueAfter {
		d.RequeueAfter = after
	}
}

// Undrain is what to do, after an answer, about ranks that have to be undrained.
type Undrain struct {
	// Done: no rank below the size is drained.
	Done bool
	// Record: record that on the Job.
	Record bool
	// AskAfter is when to ask again, and Requeue whether to sync for this reason alone.
	AskAfter time.Duration
	Requeue  bool
}

// DecideUndrain decides about the answer to a size that the Job already has.
func DecideUndrain(a *Answer) Undrain {
	switch {
	case a.Permanent:
		return Undrain{Done: true} // no rank was ever drained
	case a.Err != nil:
		return Undrain{
			AskAfter: min(pollInterval<<min(a.Failures-1, 10), maxUndrainInterval),
			Requeue:  a.Failing < maxUndrainTime,
		}
	default:
		return Undrain{Done: true, Record: true}
	}
}

// Timeout returns how long a shrink may wait for jobs; nil means without limit.
func Timeout(mc *v1alpha2.MiniCluster) *time.Duration {
	if mc.Spec.ScaleDown == nil || mc.Spec.ScaleDown.DrainTimeoutSeconds == nil {
		return nil
	}
	return new(max(0, time.Duration(*mc.Spec.ScaleDown.DrainTimeoutSeconds)*time.Second))
}

// Waits reports whether ranks that could not be drained must not be removed.
func Waits(mc *v1alpha2.MiniCluster) bool {
	return mc.Spec.ScaleDown != nil && mc.Spec.ScaleDown.OnUnreachable == v1alpha2.OnUnreachableWait
}
