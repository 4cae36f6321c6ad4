package messages

import (
	"fmt"
	"strings"
	"time"
)

// Condition Suspended of a cluster without a Job, by the cause of its hibernation.
const (
	StoppedBySuspend = "spec.suspend is true"
	StoppedBySize    = "spec.size is 0"
	StoppedIdle      = "no job ran or waited for spec.hibernation.idleTimeoutSeconds; a larger spec.size wakes the cluster"
)

// NotStarted is the message of a cluster that was created without pods. cause is a message of the condition Suspended.
func NotStarted(cause string) string { return "the cluster is not started: " + cause }

// Hibernating is the message of a hibernation that has begun and of which nothing else is known.
const Hibernating = "the queues stop before the cluster hibernates"

// HibernationDrains is the message of a hibernation that waits for running jobs.
func HibernationDrains(running int, ids []string, deadline time.Time) string {
	text := "waiting for " + count(running, "running job") + " to end"
	if len(ids) > 0 {
		text += " (" + strings.Join(ids, ", ")
		if more := running - len(ids); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		text += ")"
	}
	if !deadline.IsZero() {
		text += ", which are canceled at " + deadline.UTC().Format("15:04:05 UTC")
	}
	return text
}

// Parts of the progress of a hibernation.
const (
	HibernationSaves   = "no job runs, the state is being saved"
	HibernationDeletes = "the state is saved, the Job is being deleted"
	HibernationCancels = "the cluster does not hibernate any more, its queues start again"
	Waking             = "the cluster starts again"
	Awake              = "the cluster runs"
)

// SaveFailed is the message of a state that could not be saved.
func SaveFailed(reason string) string {
	return "the state can't be saved, so the pods stay: " + reason + "; set spec.hibernation.state to Discard to stop without saving, " +
		"or spec.suspend to false to continue"
}

// SavePostponed is the message of a cluster that runs although it was about to hibernate, because its state could not
// be saved.
func SavePostponed(reason string, next time.Time) string {
	return "the state can't be saved, so the cluster continues to run: " + reason + "; set spec.hibernation.state to Discard to stop without saving; " +
		"the next attempt is at " + next.UTC().Format("15:04:05 UTC")
}

// PodsWithoutState is a part of SaveFailed.
const PodsWithoutState = "spec.archive and spec.flux.state were added after the pods had started, which have neither"

// SaveFailedUnknown is a part of SaveFailed.
const SaveFailedUnknown = "the agent does not report why"

// AgentUnsuitable is a part of SaveFailed.
const AgentUnsuitable = "the agent in the pods is of an earlier release that can't save the state"

// Hibernated is the message of a cluster whose state is kept.
func Hibernated(pending, held int32, location string, canceled []string) string {
	text := fmt.Sprintf("%s and %s are kept", count(int(pending), "pending job"), count(int(held), "held job"))
	if location != "" {
		text += " in " + location
	}
	return text + canceledJobs(canceled)
}

// HibernatedUnknown is the message of a cluster whose broker did not run when its Job was deleted.
const HibernatedUnknown = "no broker ran; the state that was saved last is kept"

// NothingKept is the message of a cluster without something that its state could be kept in, or that discards it.
func NothingKept(discard bool, canceled []string) string {
	text := "the cluster starts without its jobs when it wakes: it has neither spec.archive nor spec.flux.state"
	if discard {
		text = "the cluster starts without its jobs when it wakes: spec.hibernation.state is Discard"
	}
	return text + canceledJobs(canceled)
}

func canceledJobs(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("; canceled at the deadline: %s (submit them again if needed)", strings.Join(ids, ", "))
}

// RestoreFromMissing is the message of a MiniCluster that cannot start from the archive of another one, because that
// one does not exist.
func RestoreFromMissing(name string) string {
	return fmt.Sprintf("spec.restoreFrom: waiting for MiniCluster %q, which does not exist", name)
}

// RestoreFromNoArchive is the message of another MiniCluster without an archive.
func RestoreFromNoArchive(name string) string {
	return fmt.Sprintf("spec.restoreFrom: MiniCluster %q has no spec.archive.path", name)
}

// RestoreFromRuns is the message of another MiniCluster that still runs its jobs.
func RestoreFromRuns(name string) string {
	return fmt.Sprintf("spec.restoreFrom: waiting until MiniCluster %q hibernates or has finished; otherwise its jobs would run twice", name)
}
