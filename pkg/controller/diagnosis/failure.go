package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Failure determines which pod made a Job fail. The pods are added one by one.
type Failure struct {
	end *batchv1.JobCondition
	// pod is the pod that the Job's condition names, if named, or else the failed pod that ended last.
	pod   *corev1.Pod
	named bool
}

// NewFailure returns a Failure for the condition that ended a Job.
func NewFailure(end *batchv1.JobCondition) *Failure { return &Failure{end: end} }

// Add takes a pod into account.
func (f *Failure) Add(pod *corev1.Pod) {
	if f.named || pod.Status.Phase != corev1.PodFailed {
		return
	}
	kept := *pod
	if strings.Contains(f.end.Message, "pod "+pod.Namespace+"/"+pod.Name+" ") {
		f.pod, f.named = &kept, true
		return
	}
	// A failed Job stops its other pods, which are not the cause.
	stopped := pod.DeletionTimestamp != nil && !pod.DeletionTimestamp.Before(&f.end.LastTransitionTime)
	if !stopped && (f.pod == nil || endOf(pod).After(endOf(f.pod))) {
		f.pod = &kept
	}
}

// Cause describes the pod that made the Job fail and the reason; it returns "" if none is known. flux is the name of
// the container that runs Flux.
func (f *Failure) Cause(flux string) string {
	if f.end.Reason == batchv1.JobReasonDeadlineExceeded {
		return messages.DeadlineExceeded
	}
	if f.pod == nil {
		return ""
	}
	return messages.SeeLogs(nameOf(f.pod)+" "+describeEnd(f.pod, flux), f.pod.Name, f.pod.Namespace)
}

// endOf returns the time at which the last container of a pod ended.
func endOf(pod *corev1.Pod) time.Time {
	end := pod.CreationTimestamp.Time
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
	}
	return end
}

// describeEnd describes how a pod ended. The container that runs Flux comes first, since the others end because of
// it.
func describeEnd(pod *corev1.Pod, flux string) string {
	text := ""
	for _, status := range bySuspicion(pod, flux) {
		if t := status.State.Terminated; t != nil && (t.ExitCode != 0 || t.Reason == reasonOOMKilled) {
			text = describeTerminated(t)
			if t.Reason == reasonStartError {
				text += "; " + startAdvice(pod, t.Message)
			}
			if status.Name != flux {
				text = fmt.Sprintf(messages.ContainerFailed, status.Name, text)
			}
			break
		}
	}
	if pod.Status.Reason == "Evicted" { // set by its kubelet
		return fmt.Sprintf(messages.PodEvicted, resources.Quote(pod.Status.Message))
	}
	if c := podCondition(pod, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		disruption := fmt.Sprintf(messages.PodDisrupted, c.Reason, resources.Quote(c.Message))
		if text == "" {
			return disruption
		}
		return disruption + " and " + text
	}
	if pod.Status.Reason != "" && text == "" {
		return fmt.Sprintf(messages.PodFailedWith, pod.Status.Reason, resources.Quote(pod.Status.Message))
	}
	return cmp.Or(text, messages.PodFailed)
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

// reasonStartError is what Kubernetes calls a container that its runtime could not start.
const reasonStartError = "StartError"

// reasonOOMKilled is Kubernetes' reason for an OOM-killed container.
const reasonOOMKilled = "OOMKilled"

// describeTerminated describes how a container ended: "ended with exit code 1".
func describeTerminated(t *corev1.ContainerStateTerminated) string {
	var text string
	switch {
	case t.Reason == reasonOOMKilled:
		return fmt.Sprintf(messages.OOMKilled, t.Reason, t.ExitCode)
	case t.ExitCode == int32(plan.ExitStopped):
		text = messages.ExitStopped
	case t.ExitCode == resources.ExitKilled:
		text = messages.ExitKilled
	case t.ExitCode == int32(plan.ExitPrepare):
		text = messages.ExitPrepare
	case t.ExitCode == int32(plan.ExitBroker):
		text = messages.ExitBroker
	case t.ExitCode == int32(plan.ExitHook):
		text = messages.ExitHook
	case t.ExitCode == int32(plan.ExitSpec):
		text = messages.ExitSpec
	default:
		text = fmt.Sprintf(messages.ExitCode, t.ExitCode)
	}
	if message := resources.Quote(t.Message); message != "" {
		text += ": " + message
	}
	return text
}
