package diagnosis

import (
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// ofPod returns the problem of a pod that is not ready.
func (e *Pods) ofPod(pod *corev1.Pod) *Problem {
	is := func(reason, format string, args ...any) *Problem {
		return &Problem{Reason: reason, Text: nameOf(pod) + " " + fmt.Sprintf(format, args...), Pod: pod}
	}
	if pod.DeletionTimestamp != nil {
		if late := e.now.Sub(pod.DeletionTimestamp.Time); late > stopPatience {
			return is(v1alpha2.ReasonNodeLost, messages.PodTerminatingLate, pod.Spec.NodeName)
		}
		return nil
	}
	if pod.Spec.NodeName == "" {
		return e.unscheduled(pod, is)
	}
	if p := ofContainers(pod, is); p != nil {
		return p
	}
	if c := podCondition(pod, corev1.PodReadyToStartContainers); pod.Status.Phase == corev1.PodPending && c != nil && c.Status != corev1.ConditionTrue {
		return is(v1alpha2.ReasonNotMounted, messages.NotMounted, pod.Name, pod.Namespace)
	}
	if p := e.starting(pod, is); p != nil {
		return p
	}
	return e.running(pod, is)
}

// stopPatience is the time after the grace period until a terminating pod is a problem.
const stopPatience = 30 * time.Second

// startPatience is the time from the assignment of a pod to a node until a missing container is a problem. The kubelet
// of a node that gets many pods at once is only slow.
const startPatience = 30 * time.Second

type problemFunc func(reason, format string, args ...any) *Problem

func (e *Pods) unscheduled(pod *corev1.Pod, is problemFunc) *Problem {
	if len(pod.Spec.SchedulingGates) > 0 {
		names := make([]string, 0, len(pod.Spec.SchedulingGates))
		for _, gate := range pod.Spec.SchedulingGates {
			names = append(names, gate.Name)
		}
		return is(v1alpha2.ReasonUnschedulable, messages.SchedulingGates, strings.Join(names, ", "))
	}
	if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse && c.Message != "" {
		return is(v1alpha2.ReasonUnschedulable, messages.Unschedulable, resources.Quote(c.Message))
	}
	return is(v1alpha2.ReasonUnschedulable, messages.NotScheduled, pod.Spec.SchedulerName)
}

// starting returns the problem of a pod whose containers have not all started.
func (e *Pods) starting(pod *corev1.Pod, is problemFunc) *Problem {
	if len(pod.Status.ContainerStatuses) == 0 {
		if c := podCondition(pod, corev1.PodScheduled); c != nil && e.now.Sub(c.LastTransitionTime.Time) < startPatience {
			return is(v1alpha2.ReasonNotReady, messages.NodeStartsPod, pod.Spec.NodeName)
		}
		return is(v1alpha2.ReasonNodeLost, messages.KubeletIdle, pod.Spec.NodeName)
	}
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		switch {
		case status.State.Running != nil && isSidecar(pod, status.Name) && status.Started != nil && !*status.Started:
			return is(v1alpha2.ReasonNotReady, messages.SidecarStarting, status.Name)
		case status.State.Waiting != nil:
			return is(v1alpha2.ReasonPulling, messages.InitPulling, imageOf(pod, status.Name), status.Name)
		case status.State.Running != nil && !isSidecar(pod, status.Name):
			return is(v1alpha2.ReasonPulling, messages.InitRunning, status.Name)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.State.Waiting != nil {
			return is(v1alpha2.ReasonPulling, messages.Pulling, imageOf(pod, status.Name), status.Name)
		}
	}
	return nil
}

func isSidecar(pod *corev1.Pod, container string) bool {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == container {
			return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return false
}

// running returns the problem of a pod that runs and is not ready.
func (e *Pods) running(pod *corev1.Pod, is problemFunc) *Problem {
	allReady := true
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		allReady = allReady && status.Ready
		if t := status.State.Terminated; t != nil {
			return is(v1alpha2.ReasonPodsFailing, messages.ContainerEnded, status.Name, describeTerminated(t))
		}
	}
	if c := podCondition(pod, corev1.PodReady); allReady && c != nil && c.Reason == "" {
		// Only the node lifecycle controller sets the condition without a reason; a kubelet sets one.
		return is(v1alpha2.ReasonNodeLost, messages.NodeUnreachable, pod.Spec.NodeName)
	}
	for i := range pod.Status.ContainerStatuses {
		if status := &pod.Status.ContainerStatuses[i]; !status.Ready && status.Name != e.flux {
			return is(v1alpha2.ReasonNotReady, messages.SidecarNotReady, status.Name)
		}
	}
	for i := range pod.Status.InitContainerStatuses {
		if status := &pod.Status.InitContainerStatuses[i]; allReady && !status.Ready && isSidecar(pod, status.Name) {
			return is(v1alpha2.ReasonNotReady, messages.SidecarNotReady, status.Name)
		}
	}
	return is(v1alpha2.ReasonBrokerOffline, messages.BrokerOffline, pod.Name, pod.Namespace)
}

func podReady(pod *corev1.Pod) bool {
	c := podCondition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// nameOf returns the name of a pod and its role in the cluster.
func nameOf(pod *corev1.Pod) string {
	if pod.Annotations[batchv1.JobCompletionIndexAnnotation] == "0" {
		return "pod " + pod.Name + " (index 0, the lead)"
	}
	return "pod " + pod.Name
}
