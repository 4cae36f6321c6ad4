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
	// maxUndrainInterval is the longest time between two attempts to undrain ranks.
	maxUndrainInterval = time.Minute
	// maxUndrainTime is how long undraining is retried without another reason to sync.
	maxUndrainTime = time.Hour
)

// Input is everything that a decision depends on.
type Input struct {
	// Now is the current time.
	Now time.Time
	// From and To are the current and the requested size of the Job.
	From, To int32
	// Since is when the drain started.
	Since time.Time
	// Timeout is how long to wait for jobs; nil means without limit.
	Timeout *time.Duration
	// AgentTimeout is how long an agent that does not answer is retried.
	AgentTimeout time.Duration
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
	if in.Timeout != nil {
		d.RequeueAfter = *in.Timeout - in.Now.Sub(in.Since)
		if d.RequeueAfter <= 0 {
			return Decision{Shrink: true, Event: &Event{ReasonTimedOut, messages.DrainTimedOut(in.To, ranks, *in.Timeout)}}
		}
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
	case a.State.Busy.Empty():
		d.Message = messages.DrainStarted("ranks "+idsText(a.State.Leaving), in.From, in.To)
		d.askAgain(settleInterval)
	default:
		d.Message = messages.DrainBusy(a.State.Jobs, idsText(a.State.Busy), in.From, in.To, in.Timeout)
		d.askAgain(pollInterval)
	}
	return d
}

// unanswered decides about an agent that does not drain ranks.
func unanswered(in Input, d *Decision) {
	a := in.Answer
	d.NothingDrained = a.Permanent
	if a.Permanent || a.Failing >= in.AgentTimeout {
		reason := resources.Quote(a.Err.Error()) // the answer comes from a pod of the user
		d.Shrink, d.Event = true, &Event{ReasonSkipped, messages.DrainSkipped(in.To, Ranks(in.To, in.From), reason)}
		d.RequeueAfter = 0
		return
	}
	d.Message = messages.DrainUnanswered(a.Reached, in.AgentTimeout, in.From, in.To)
	d.askAgain(pollInterval)
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
