package messages

import (
	"fmt"
	"strings"
)

// JobDeleted is the message of a program that is not run again.
const JobDeleted = "the Job was deleted before its result was recorded, and its program may have run, so it is not run again; " +
	"to run it again, delete and recreate the MiniCluster"

// Restart says how to start brokers again: an interactive cluster gets another Job, a
// program does not run again.
func Restart(job string, interactive bool) string {
	if interactive {
		return fmt.Sprintf("delete Job %q", job)
	}
	return "delete and recreate the MiniCluster"
}

// Completed is the message of a MiniCluster that is complete. sidecars are those of [SidecarFailed], keptBy is that of
// [KeptBy]; both may be empty.
func Completed(sidecars []string, keptBy string) string {
	text := "the lead program completed successfully"
	if len(sidecars) > 0 {
		text += "; " + strings.Join(sidecars, ", ")
	}
	if keptBy != "" {
		text += "; " + keptBy + "; delete the MiniCluster to remove the pod"
	}
	return text
}

// SidecarFailed is the part of Completed about a sidecar that failed.
func SidecarFailed(container, pod string, code int) string {
	return fmt.Sprintf("sidecar %s of pod %s failed with exit code %d", container, pod, code)
}

// MoreSidecars is the part of Completed about further sidecars that failed.
func MoreSidecars(n int) string { return fmt.Sprintf("%d more failed", n) }

// KeptBy is the message of containers that something else added to a pod whose Flux container has ended.
func KeptBy(containers []string, pod string) string {
	noun := "container"
	if len(containers) > 1 {
		noun = "containers"
	}
	return fmt.Sprintf("%s %s, which something else added, keeps pod %s running: configure the service mesh or the policy that adds it "+
		"to use native sidecars (init containers with restartPolicy Always), or exclude the pods with spec.pod.labels or spec.pod.annotations",
		noun, strings.Join(containers, ", "), pod)
}

// Conditions Complete and Failed, and what Ready says about them.
const (
	WorkComplete = "the work completed successfully"
	WorkFailed   = "the work failed"
	WorkFinished = "the work has finished"
)

// Failed is the message of a Job that failed, with the cause where it is known.
func Failed(cause, reason, message string) string {
	text := strings.TrimSuffix(fmt.Sprintf("the Job failed (%s): %s", reason, message), ": ")
	if cause != "" {
		return cause + "; " + text
	}
	return text
}
