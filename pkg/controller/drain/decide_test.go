package drain

import (
	"errors"
	"strings"
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
			Decision{Message: "waiting for 1 job on rank 3 to end before the Job shrinks from 4 to 2", AskAfter: pollInterval, RequeueAfter: pollInterval},
		},
		{
			"busy, with a timeout that ends before the next poll",
			func(in *Input) {
				in.Answer = &Answer{State: control.State{Busy: flux.IDs(2, 3), Jobs: 2}}
				in.Timeout, in.Elapsed = &minute, minute-time.Millisecond
			},
			Decision{
				Message:  "waiting for 2 jobs on ranks 2-3 to end before the Job shrinks from 4 to 2, for at most 1m0s",
				AskAfter: pollInterval, RequeueAfter: time.Millisecond,
			},
		},
		{
			"timed out: the agent is not asked",
			func(in *Input) { in.Asked, in.Timeout, in.Elapsed = false, &minute, minute },
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
			in := Input{Now: now, From: 4, To: 2, AgentTimeout: 10 * time.Second, Asked: true}
			tc.edit(&in)
			assert.Equal(t, tc.want, Decide(in))
		})
	}
}

// TestDecideWait: with onUnreachable: Wait, ranks that could not be drained are never removed.
func TestDecideWait(t *testing.T) {
	minute := time.Minute
	unreachable := errors.New("connection refused")
	const keeps = "draining to 2: ranks 2-3 can't be drained: connection refused; the Job keeps size 4 until they can, because spec.scaleDown.onUnreachable is Wait"
	for _, tc := range []struct {
		name   string
		answer *Answer
		edit   func(*Input)
		want   Decision
	}{
		{"unreachable for a moment", &Answer{Err: unreachable, Failures: 1}, nil, Decision{Message: keeps, AskAfter: time.Second, RequeueAfter: time.Second}},
		{
			"unreachable for hours", &Answer{Err: unreachable, Failing: time.Hour, Failures: 200}, nil,
			Decision{Message: keeps, AskAfter: 15 * time.Second, RequeueAfter: 15 * time.Second},
		},
		{
			"unreachable, and the timeout is over", &Answer{Err: unreachable, Failing: time.Hour, Failures: 200},
			func(in *Input) { in.Timeout, in.Elapsed = &minute, time.Hour },
			Decision{Message: keeps, AskAfter: 15 * time.Second, RequeueAfter: 15 * time.Second},
		},
		{"no agent", &Answer{Err: unreachable, Permanent: true}, nil, Decision{Message: keeps, AskAfter: time.Minute, RequeueAfter: time.Minute}},
		{
			"busy, and the timeout is over", &Answer{State: control.State{Busy: flux.IDs(3), Jobs: 1}},
			func(in *Input) { in.Timeout, in.Elapsed = &minute, minute },
			Decision{Shrink: true, Event: &Event{ReasonTimedOut, "size 2: ranks 2-3 still busy after 1m0s, stopped"}},
		},
		{
			"not asked, and the timeout is over", nil, func(in *Input) { in.Asked, in.Timeout, in.Elapsed = false, &minute, minute },
			Decision{Ask: true},
		},
		{"idle", &Answer{State: control.State{Idle: true}}, nil, Decision{Shrink: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := Input{From: 4, To: 2, AgentTimeout: 10 * time.Second, Asked: true, Wait: true, Answer: tc.answer}
			if tc.edit != nil {
				tc.edit(&in)
			}
			assert.Equal(t, tc.want, Decide(in))
		})
	}
}

// TestBusyMessage: the message says which jobs a drain waits for, and until when.
func TestBusyMessage(t *testing.T) {
	now := time.Date(2026, 11, 29, 13, 0, 0, 0, time.UTC)
	at := func(hours, minutes, seconds int) float64 {
		return float64(time.Date(2026, 11, 29, hours, minutes, seconds, 0, time.UTC).Unix()) + 0.25
	}
	hour := time.Hour
	for name, test := range map[string]struct {
		state   control.State
		timeout *time.Duration
		want    string
	}{
		"a time limit": {
			control.State{Busy: flux.IDs(7), Jobs: 1, LastJobs: []control.Job{{ID: "ƒAbc", Expiration: at(14, 19, 30)}}}, nil,
			"draining to 4: rank 7 busy, job ƒAbc ends by its time limit at 14:20 UTC",
		},
		"no time limit": {
			control.State{Busy: flux.IDs(5, 7), Jobs: 1, LastJobs: []control.Job{{ID: "ƒAbc"}}}, &hour,
			"draining to 4: ranks 5,7 busy, job ƒAbc has no time limit, for at most 1h0m0s",
		},
		"another day": {
			control.State{Busy: flux.IDs(7), Jobs: 1, LastJobs: []control.Job{{ID: "ƒAbc", Expiration: at(37, 0, -1)}}}, nil,
			"draining to 4: rank 7 busy, job ƒAbc ends by its time limit at 2026-11-30 13:00 UTC",
		},
		"many jobs": {
			control.State{Busy: flux.IDs(6, 7), Jobs: 20, LastJobs: []control.Job{
				{ID: "ƒA"}, {ID: "ƒB", Expiration: at(14, 0, 0)}, {ID: "ƒC", Expiration: at(13, 30, 0)}, {ID: "ƒD", Expiration: at(13, 20, 0)},
			}}, nil,
			"draining to 4: ranks 6-7 busy, job ƒA has no time limit, job ƒB ends by its time limit at 14:00 UTC, " +
				"job ƒC ends by its time limit at 13:30 UTC, and 17 other jobs",
		},
		"an allocation without a job": {control.State{Busy: flux.IDs(7)}, nil, "draining to 4: rank 7 busy"},
		"an agent of an earlier release": {
			control.State{Busy: flux.IDs(7), Jobs: 2}, nil, "waiting for 2 jobs on rank 7 to end before the Job shrinks from 8 to 4",
		},
		"nonsense": {
			control.State{Busy: flux.IDs(7), Jobs: 1, LastJobs: []control.Job{{ID: strings.Repeat("a\n", 1000), Expiration: 1e300}}}, nil,
			"draining to 4: rank 7 busy, job a a a a a a a a a a a... has no time limit",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(Input{Now: now, From: 8, To: 4, Timeout: test.timeout, Asked: true, Answer: &Answer{State: test.state}})
			assert.Equal(t, test.want, d.Message)
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
