package drain

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

func TestDecide(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	minute := time.Minute
	unreachable := errors.New("connection refused")
	for _, tc := range []struct {
		name string
		edit func(*Input)
		want Decision
	}{
		{"not asked yet", func(in *Input) { in.Asked = false }, Decision{Ask: true}},
		{"no answer yet", func(*Input) {}, Decision{Message: "draining ranks 2-3 before the Job shrinks from 4 to 2"}},
		{"no answer yet, jobs were busy before", func(in *Input) { in.LastMessage = "busy" }, Decision{Message: "busy"}},
		{"one rank", func(in *Input) { in.To = 3 }, Decision{Message: "draining rank 3 before the Job shrinks from 4 to 3"}},
		{"idle", func(in *Input) { in.Answer = &Answer{State: control.State{Idle: true}} }, Decision{Shrink: true}},
		{
			"drained, but not for long enough",
			func(in *Input) { in.Answer = &Answer{State: control.State{Leaving: flux.IDs(2, 3)}} },
			Decision{Message: "draining ranks 2-3 before the Job shrinks from 4 to 2", AskAfter: settleInterval, RequeueAfter: settleInterval},
		},
		{
			"busy",
			func(in *Input) { in.Answer = &Answer{State: control.State{Busy: flux.IDs(3), Jobs: 1}} },
			Decision{Message: "waiting for 1 job on ranks 3 to end before the Job shrinks from 4 to 2", AskAfter: pollInterval, RequeueAfter: pollInterval},
		},
		{
			"busy, with a timeout that ends before the next poll",
			func(in *Input) {
				in.Answer = &Answer{State: control.State{Busy: flux.IDs(2, 3), Jobs: 2}}
				in.Timeout, in.Since = &minute, now.Add(-minute+time.Millisecond)
			},
			Decision{
				Message:  "waiting for 2 jobs on ranks 2-3 to end before the Job shrinks from 4 to 2, for at most 1m0s",
				AskAfter: pollInterval, RequeueAfter: time.Millisecond,
			},
		},
		{
			"timed out: the agent is not asked",
			func(in *Input) { in.Asked, in.Timeout, in.Since = false, &minute, now.Add(-minute) },
			Decision{Shrink: true, Event: &Event{ReasonTimedOut, "size 2: ranks 2-3 still busy after 1m0s, stopped"}},
		},
		{
			"unreachable for a moment",
			func(in *Input) { in.Answer = &Answer{Err: unreachable, Failing: 9 * time.Second} },
			Decision{
				Message:  "the agent of the lead broker's pod can't be reached; after 10s, the Job shrinks from 4 to 2 without draining",
				AskAfter: pollInterval, RequeueAfter: pollInterval,
			},
		},
		{
			"unreachable for too long",
			func(in *Input) { in.Answer = &Answer{Err: unreachable, Failing: 10 * time.Second} },
			Decision{Shrink: true, Event: &Event{ReasonSkipped, "size 2: ranks 2-3 not drained: connection refused"}},
		},
		{
			"no agent",
			func(in *Input) { in.Answer = &Answer{Err: unreachable, Permanent: true} },
			Decision{Shrink: true, NothingDrained: true, Event: &Event{ReasonSkipped, "size 2: ranks 2-3 not drained: connection refused"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := Input{Now: now, From: 4, To: 2, Since: now, AgentTimeout: 10 * time.Second, Asked: true}
			tc.edit(&in)
			assert.Equal(t, tc.want, Decide(in))
		})
	}
}

func TestDecideUndrain(t *testing.T) {
	failed := func(failing time.Duration, failures int) *Answer {
		return &Answer{Err: errors.New("no"), Failing: failing, Failures: failures}
	}
	for _, tc := range []struct {
		name   string
		answer *Answer
		want   Undrain
	}{
		{"undrained", &Answer{}, Undrain{Done: true, Record: true}},
		{"no agent", &Answer{Err: errors.New("no"), Permanent: true}, Undrain{Done: true}},
		{"first failure", failed(0, 1), Undrain{AskAfter: time.Second, Requeue: true}},
		{"third failure", failed(time.Minute, 3), Undrain{AskAfter: 4 * time.Second, Requeue: true}},
		{"many failures", failed(time.Hour, 60), Undrain{AskAfter: time.Minute}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, DecideUndrain(tc.answer)) })
	}
}
