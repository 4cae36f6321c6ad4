package messages

import (
	"fmt"
	"time"
)

// DrainStarted is the message of a drain that begins, or that has no news.
func DrainStarted(ranks string, from, to int32) string {
	return fmt.Sprintf("draining %s before the Job shrinks from %d to %d", ranks, from, to)
}

// EndingJob is a job that a drain waits for.
type EndingJob struct {
	// ID is the ID as Flux prints it.
	ID string
	// End is when its time limit ends the job; zero if it has no time limit.
	End time.Time
}

// DrainBusy is the message of a drain that waits for jobs, of which it names those that end last.
func DrainBusy(to int32, ranks string, jobs int, last []EndingJob, now time.Time, timeout *time.Duration) string {
	text := fmt.Sprintf("draining to %d: %s busy", to, ranks)
	for _, job := range last {
		if job.End.IsZero() {
			text += fmt.Sprintf(", job %s has no time limit", job.ID)
		} else {
			text += fmt.Sprintf(", job %s ends by its time limit at %s", job.ID, minuteText(job.End, now))
		}
	}
	if more := jobs - len(last); more > 0 {
		text += ", and " + count(more, "other job")
	}
	return text + atMost(timeout)
}

// DrainJobs is the message of a drain that waits for jobs whose ends are unknown, because the agent is of an earlier
// release.
func DrainJobs(jobs int, ranks string, from, to int32, timeout *time.Duration) string {
	return fmt.Sprintf("waiting for %s on %s to end before the Job shrinks from %d to %d", count(jobs, "job"), ranks, from, to) + atMost(timeout)
}

// minuteText returns the minute, rounded up, in which something ends, with the date if it is not today.
func minuteText(end, now time.Time) string {
	end = end.Add(time.Minute - time.Nanosecond).Truncate(time.Minute).UTC()
	if end.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return end.Format("15:04 UTC")
	}
	return end.Format("2006-01-02 15:04 UTC")
}

func atMost(timeout *time.Duration) string {
	if timeout == nil {
		return ""
	}
	return fmt.Sprintf(", for at most %s", *timeout)
}

// DrainUnanswered is the message of an agent that does not drain. blocked says what may block connections to it.
func DrainUnanswered(reached bool, timeout time.Duration, from, to int32, blocked string) string {
	what := "can't be reached"
	if reached {
		what = "can't drain ranks"
	}
	text := fmt.Sprintf("the agent of the lead broker's pod %s; after %s, the Job shrinks from %d to %d without draining", what, timeout, from, to)
	if blocked != "" {
		text += "; " + blocked
	}
	return text
}

// DrainWaits is the message of ranks that can't be drained and are therefore not removed.
func DrainWaits(ranks, reason string, from, to int32) string {
	return fmt.Sprintf("draining to %d: %s can't be drained: %s; the Job keeps size %d until they can, because spec.scaleDown.onUnreachable is Wait",
		to, ranks, reason, from)
}

// AgentBlocked is a part of messages about an agent that can't be reached although its pod is ready. policies are
// NetworkPolicies that isolate the pod; certain: none of them allows the connection.
func AgentBlocked(port int32, policies string, certain bool) string {
	switch {
	case policies == "":
		return fmt.Sprintf("the pod is ready: a NetworkPolicy or a firewall may block TCP port %d from the controller", port)
	case certain:
		return fmt.Sprintf("the pod is ready, and NetworkPolicy %s blocks TCP port %d from the controller: allow it", policies, port)
	default:
		return fmt.Sprintf("the pod is ready: NetworkPolicy %s may block TCP port %d from the controller", policies, port)
	}
}

// DrainTimedOut is the event of a drain that took too long.
func DrainTimedOut(size int32, ranks string, timeout time.Duration) string {
	return fmt.Sprintf("size %d: %s still busy after %s, stopped", size, ranks, timeout)
}

// DrainSkipped is the event of a Job that shrinks without draining.
func DrainSkipped(size int32, ranks, reason string) string {
	return fmt.Sprintf("size %d: %s not drained: %s", size, ranks, reason)
}
