package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/controller/resources"
)

// failureCause says which pod made a Job fail, and why; "" where none is known to have.
func failureCause(end *batchv1.JobCondition, pods []corev1.Pod, flux string) string {
	if end.Reason == batchv1.JobReasonDeadlineExceeded {
		return "the time that spec.deadlineSeconds allows is over; raise it if the work needs more"
	}
	pod := culprit(end, pods)
	if pod == nil {
		return ""
	}
	return fmt.Sprintf("%s %s; look at `kubectl logs %s -n %s`", nameOf(pod), describeEnd(pod, flux), pod.Name, pod.Namespace)
}

// culprit is the pod that a Job's condition names, else the failed one that ended last.
func culprit(end *batchv1.JobCondition, pods []corev1.Pod) *corev1.Pod {
	var failed []*corev1.Pod
	for i := range pods {
		if pods[i].Status.Phase != corev1.PodFailed {
			continue
		}
		if strings.Contains(end.Message, "pod "+pods[i].Namespace+"/"+pods[i].Name+" ") {
			return &pods[i]
		}
		// A Job that has failed stops its other pods: they are no cause.
		if pods[i].DeletionTimestamp == nil || pods[i].DeletionTimestamp.Before(&end.LastTransitionTime) {
			failed = append(failed, &pods[i])
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return lastEnded(failed)
}

// lastEnded is the pod whose containers ended last.
func lastEnded(pods []*corev1.Pod) *corev1.Pod {
	return slices.MaxFunc(pods, func(a, b *corev1.Pod) int { return endOf(a).Compare(endOf(b)) })
}

func endOf(pod *corev1.Pod) time.Time {
	end := pod.CreationTimestamp.Time
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
	}
	return end
}

// describeEnd says how a pod ended: the container that runs Flux first, since others
// end for its sake.
func describeEnd(pod *corev1.Pod, flux string) string {
	text := ""
	for _, status := range bySuspicion(pod, flux) {
		if t := status.State.Terminated; t != nil && (t.ExitCode != 0 || t.Reason == reasonOOMKilled) {
			text = describeTerminated(t)
			if status.Name != flux {
				text = "failed: its container " + status.Name + " " + text
			}
			break
		}
	}
	if pod.Status.Reason == "Evicted" { // by its kubelet
		return "was evicted: " + sentence(pod.Status.Message)
	}
	if c := podCondition(pod, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		disruption := fmt.Sprintf("was disrupted (%s: %s)", c.Reason, sentence(c.Message))
		if text == "" {
			return disruption
		}
		return disruption + " and " + text
	}
	if pod.Status.Reason != "" && text == "" {
		return fmt.Sprintf("failed (%s: %s)", pod.Status.Reason, sentence(pod.Status.Message))
	}
	return cmp.Or(text, "failed")
}

func bySuspicion(pod *corev1.Pod, flux string) []corev1.ContainerStatus {
	all := slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses)
	slices.SortStableFunc(all, func(a, b corev1.ContainerStatus) int {
		switch {
		case a.Name == flux && b.Name != flux:
			return -1
		case a.Name != flux && b.Name == flux:
			return 1
		}
		return 0
	})
	return all
}

// reasonOOMKilled is what Kubernetes calls a container that was killed for lack of
// memory.
const reasonOOMKilled = "OOMKilled"

// describeTerminated says how a container ended: "ended with exit code 1".
func describeTerminated(t *corev1.ContainerStateTerminated) string {
	var text string
	switch {
	case t.Reason == reasonOOMKilled:
		return fmt.Sprintf("was killed for lack of memory (%s, exit code %d); raise the memory limit in its resources", t.Reason, t.ExitCode)
	case t.ExitCode == int32(plan.ExitStopped):
		text = "was stopped (exit code 143)"
	case t.ExitCode == resources.ExitKilled:
		text = "was killed (exit code 137)"
	case t.ExitCode == int32(plan.ExitPrepare):
		text = "could not be made ready for Flux (exit code 210)"
	case t.ExitCode == int32(plan.ExitBroker):
		text = "could not start its broker (exit code 211)"
	case t.ExitCode == int32(plan.ExitHook):
		text = "ended for a hook that failed (exit code 212)"
	default:
		text = fmt.Sprintf("ended with exit code %d", t.ExitCode)
	}
	if message := sentence(t.Message); message != "" {
		text += ": " + message
	}
	return text
}

// maxQuote is how much of somebody else's message is repeated.
const maxQuote = 1024

// sentence makes a message of somebody else fit into one of ours: one line, of
// bounded length, without the full stop.
func sentence(message string) string {
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }), " ")
	return resources.Shorten(strings.TrimSuffix(message, "."), maxQuote)
}
