package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// problem is why a cluster does not become ready, as far as can be seen.
type problem struct {
	// reason is one of the conditions Ready and Progressing.
	reason string
	// text says what is wrong with which pod, and what helps.
	text string
	// pod has the problem; nil where there is no pod.
	pod *corev1.Pod
	// others is the number of further pods for which the same holds.
	others int
}

func (p *problem) message() string {
	if p.others == 0 {
		return p.text
	}
	return fmt.Sprintf("%s (%d more: %s)", p.text, p.others, p.reason)
}

// weight orders problems: what a user has to do something about comes before what may
// be only its consequence. It is negative for reasons that are none.
func weight(reason string) int {
	order := []string{
		v1alpha2.ReasonPodsNotReady,
		v1alpha2.ReasonPulling,
		v1alpha2.ReasonBrokerOffline,
		v1alpha2.ReasonLeadUnreachable,
		v1alpha2.ReasonNameNotResolved,
		v1alpha2.ReasonNetworkPolicy,
		v1alpha2.ReasonNotMounted,
		v1alpha2.ReasonUnschedulable,
		v1alpha2.ReasonPodsFailing,
		v1alpha2.ReasonPodsRefused,
		v1alpha2.ReasonQuotaExceeded,
		v1alpha2.ReasonCertificateInvalid,
		v1alpha2.ReasonContainerNotStarted,
		v1alpha2.ReasonImagePullFailed,
		v1alpha2.ReasonNodeLost,
	}
	return slices.Index(order, reason)
}

// examiner looks at the pods of a Job.
type examiner struct {
	// flux is the name of the container that runs Flux.
	flux string
	// size is the number of indexes that there should be.
	size int32
	now  time.Time
}

// worst is the problem that matters most, nil when no pod has one. Of several pods
// with the same one it is that of the lowest index: that of the lead, on which the
// others wait.
func (e examiner) worst(pods []corev1.Pod) *problem {
	var found []problem
	live, ended := byIndex(pods)
	for _, index := range sortedIndexes(live, ended) {
		if p := e.ofIndex(index, live[index], ended[index]); p != nil {
			found = append(found, *p)
		}
	}
	if len(found) == 0 {
		return nil
	}
	worst := slices.MaxFunc(found, func(a, b problem) int { return cmp.Compare(weight(a.reason), weight(b.reason)) })
	for i := range found {
		if found[i].reason == worst.reason {
			worst.others++
		}
	}
	worst.others--
	return &worst
}

// byIndex sorts pods by their index: those that have not ended, and those that have
// failed.
func byIndex(pods []corev1.Pod) (live, failed map[int32][]*corev1.Pod) {
	live, failed = map[int32][]*corev1.Pod{}, map[int32][]*corev1.Pod{}
	for i := range pods {
		index, ok := resources.PodIndex(&pods[i])
		if !ok {
			continue
		}
		switch pods[i].Status.Phase {
		case corev1.PodSucceeded:
		case corev1.PodFailed:
			failed[index] = append(failed[index], &pods[i])
		default:
			live[index] = append(live[index], &pods[i])
		}
	}
	return live, failed
}

func sortedIndexes(maps ...map[int32][]*corev1.Pod) []int32 {
	var indexes []int32
	for _, m := range maps {
		for index := range m {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	return slices.Compact(indexes)
}

// ofIndex is the problem of one index. Pods that have failed are one while no other
// has taken their place, or when they do so again and again.
func (e examiner) ofIndex(index int32, live, failed []*corev1.Pod) *problem {
	var own *problem
	replaced := false
	for _, pod := range live {
		if isPodReady(pod) && pod.DeletionTimestamp == nil {
			return nil
		}
		replaced = replaced || pod.DeletionTimestamp == nil
		if p := e.ofPod(pod); p != nil && own == nil {
			own = p
		}
	}
	if index >= e.size || len(failed) == 0 || (replaced && len(failed) < 2) {
		return own
	}
	if own != nil && weight(own.reason) > weight(v1alpha2.ReasonPodsFailing) {
		return own
	}
	last := lastEnded(failed)
	text := fmt.Sprintf("%s %s", nameOf(last), describeEnd(last, e.flux))
	if len(failed) > 1 {
		text += fmt.Sprintf(", and %d more pods of this index have failed before", len(failed)-1)
	}
	if !replaced {
		text += "; Kubernetes makes another one after a pause of 10 s, which doubles with each failure"
	}
	return &problem{reason: v1alpha2.ReasonPodsFailing, text: text, pod: last}
}

// ofPod is the problem of a pod that is not ready.
func (e examiner) ofPod(pod *corev1.Pod) *problem {
	is := func(reason, format string, args ...any) *problem {
		return &problem{reason: reason, text: nameOf(pod) + " " + fmt.Sprintf(format, args...), pod: pod}
	}
	if pod.DeletionTimestamp != nil {
		if late := e.now.Sub(pod.DeletionTimestamp.Time); late > stopPatience {
			return is(v1alpha2.ReasonNodeLost, "was told to stop and has not ended in time; bring its node %[1]q back or, if it is gone for good, `kubectl delete node %[1]s`: then another pod takes its place",
				pod.Spec.NodeName)
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
		return is(v1alpha2.ReasonNotMounted, "waits for its volumes, which includes the ConfigMaps, Secrets and claims that the spec names, or for its network; `kubectl describe pod %s -n %s` says for which",
			pod.Name, pod.Namespace)
	}
	if p := starting(pod, is); p != nil {
		return p
	}
	return e.running(pod, is)
}

// stopPatience is how long after the end of its grace period a pod counts as one that
// does not end.
const stopPatience = 30 * time.Second

type problemMaker func(reason, format string, args ...any) *problem

func (e examiner) unscheduled(pod *corev1.Pod, is problemMaker) *problem {
	if len(pod.Spec.SchedulingGates) > 0 {
		names := make([]string, 0, len(pod.Spec.SchedulingGates))
		for _, gate := range pod.Spec.SchedulingGates {
			names = append(names, gate.Name)
		}
		return is(v1alpha2.ReasonUnschedulable, "is held back by its scheduling gates (%s), until whoever set them takes them away", strings.Join(names, ", "))
	}
	if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse && c.Message != "" {
		return is(v1alpha2.ReasonUnschedulable, "fits no node: %s; add nodes, ask for less in resources, or lower spec.size", sentence(c.Message))
	}
	return is(v1alpha2.ReasonUnschedulable, "has not been given a node yet: does its scheduler %q run?", pod.Spec.SchedulerName)
}

// ofContainers is about containers that Kubernetes can't start, or starts again and
// again.
func ofContainers(pod *corev1.Pod, is problemMaker) *problem {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		waiting := status.State.Waiting
		if waiting == nil {
			continue
		}
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
			return is(v1alpha2.ReasonImagePullFailed, "can't get image %q of container %s (%s); %s",
				imageOf(pod, status.Name), status.Name, sentence(pullMessage(waiting)), imageAdvice(status.Name))
		case "CrashLoopBackOff":
			text := "ends again and again"
			if last := status.LastTerminationState.Terminated; last != nil {
				text += "; the last time it " + describeTerminated(last)
			}
			return is(v1alpha2.ReasonPodsFailing, "keeps starting again: container %s %s; look at `kubectl logs %s -n %s -c %s --previous`",
				status.Name, text, pod.Name, pod.Namespace, status.Name)
		case "CreateContainerConfigError", "CreateContainerError", "CreatePodSandboxError", "RunContainerError", "StartError", "PreCreateHookError", "PostStartHookError":
			return is(v1alpha2.ReasonContainerNotStarted, "can't start container %s (%s: %s); correct what the message names",
				status.Name, waiting.Reason, sentence(waiting.Message))
		}
	}
	return nil
}

// pullMessage leaves out what differs from one try to the next.
func pullMessage(waiting *corev1.ContainerStateWaiting) string {
	message := waiting.Message
	if waiting.Reason == "ImagePullBackOff" {
		if _, cause, found := strings.Cut(message, "ErrImagePull: "); found {
			message = cause
		}
	}
	return cmp.Or(message, waiting.Reason)
}

func imageAdvice(container string) string {
	if container == resources.AgentContainer {
		return "it is the controller's own --agent-image, which the nodes have to be able to pull"
	}
	return "check its name, the registry, and imagePullSecret of that container"
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// starting is about a pod whose containers have not all been started.
func starting(pod *corev1.Pod, is problemMaker) *problem {
	if len(pod.Status.ContainerStatuses) == 0 {
		return is(v1alpha2.ReasonNodeLost, "has a node, %q, that has not begun to start it; does its kubelet run?", pod.Spec.NodeName)
	}
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		switch {
		case status.State.Waiting != nil:
			return is(v1alpha2.ReasonPulling, "is pulling image %q of its init container %s", imageOf(pod, status.Name), status.Name)
		case status.State.Running != nil && !isSidecar(pod, status.Name):
			return is(v1alpha2.ReasonPulling, "is being prepared: its init container %s still runs", status.Name)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.State.Waiting != nil {
			return is(v1alpha2.ReasonPulling, "is pulling image %q of container %s", imageOf(pod, status.Name), status.Name)
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

// running is about a pod that runs and is not ready.
func (e examiner) running(pod *corev1.Pod, is problemMaker) *problem {
	allReady := true
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		allReady = allReady && status.Ready
		if t := status.State.Terminated; t != nil {
			return is(v1alpha2.ReasonPodsFailing, "is not whole any more: its container %s %s", status.Name, describeTerminated(t))
		}
	}
	if c := podCondition(pod, corev1.PodReady); allReady && c != nil && c.Reason == "" {
		// Only what looks after nodes marks a pod so; a kubelet gives a reason.
		return is(v1alpha2.ReasonNodeLost, "is on node %[1]q, which does not answer any more; bring it back or, if it is gone for good, `kubectl delete node %[1]s`: then another pod takes its place",
			pod.Spec.NodeName)
	}
	for i := range pod.Status.ContainerStatuses {
		if status := &pod.Status.ContainerStatuses[i]; !status.Ready && status.Name != e.flux {
			return is(v1alpha2.ReasonPodsNotReady, "is not ready for its container %s, which runs beside Flux", status.Name)
		}
	}
	return is(v1alpha2.ReasonBrokerOffline, "runs, and its broker is not online; look at `kubectl logs %s -n %s`", pod.Name, pod.Namespace)
}

func isPodReady(pod *corev1.Pod) bool {
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

// nameOf names a pod, and what it is in the cluster.
func nameOf(pod *corev1.Pod) string {
	if pod.Annotations[batchv1.JobCompletionIndexAnnotation] == "0" {
		return "pod " + pod.Name + " (index 0, the lead)"
	}
	return "pod " + pod.Name
}
