package messages

import (
	"fmt"
	"strings"
)

// Conditions Ready, Progressing and Suspended.
const (
	JobMissing    = "the Job does not exist yet"
	Suspended     = "the Job is suspended"
	NotSuspended  = "the Job is not suspended"
	WaitForSpec   = "waiting for the spec to be corrected"
	WaitForPolicy = "waiting for the spec, or the policy that rejects it, to be corrected; the controller retries at least once a minute"
)

// PodsReady is the message of a Job, by the number of its pods that are ready.
func PodsReady(ready, size int32) string { return fmt.Sprintf("%d of %d pods are ready", ready, size) }

// LeadNotReady is the message of a Job whose lead broker is not ready, after the number of pods that are.
func LeadNotReady(pods string) string {
	return pods + "; the lead broker has no quorum yet, or does not run"
}

// Resizing is the message of a Job that has not reached its size.
func Resizing(active, size, terminating int32) string {
	text := fmt.Sprintf("%d of %d pods exist", active, size)
	if terminating > 0 {
		text += fmt.Sprintf(", %d terminating", terminating)
	}
	return text
}

// WaitForDeletion is the message of an object that must disappear before it is created.
func WaitForDeletion(kind, name string) string {
	return fmt.Sprintf("waiting for %s %q, which is being deleted", kind, name)
}

// WaitForOldPods is the message of pods that must end before a new Job is created.
func WaitForOldPods(names []string) string {
	return fmt.Sprintf("waiting for %s of the previous Job to end before the new Job is created; delete a pod that does not end", podList(names))
}

// WaitForTerminating is the message of pods that must end before a Job grows.
func WaitForTerminating(names []string, from, to int32) string {
	return fmt.Sprintf("waiting for %s to end before the Job grows from %d to %d", podList(names), from, to)
}

// maxPodNames is the number of pods that a message names.
const maxPodNames = 3

// podList names some pods: "pod a" or "2 pods (a, b)".
func podList(names []string) string {
	if len(names) == 1 {
		return "pod " + names[0]
	}
	text := strings.Join(names[:min(len(names), maxPodNames)], ", ")
	if more := len(names) - maxPodNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d pods (%s)", len(names), text)
}
