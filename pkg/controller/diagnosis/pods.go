package diagnosis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
)

// Problem describes why a cluster does not become ready.
type Problem struct {
	// Reason is the reason of the conditions Ready and Progressing.
	Reason string
	// Text says which pod has which problem, and how to solve it.
	Text string
	// Pod has the problem; nil if it does not concern a pod.
	Pod *corev1.Pod
	// Others is the number of further pods with the same problem.
	Others int
}

// Message returns the text, with the number of further pods that have the same problem.
func (p *Problem) Message() string {
	return messages.MorePods(p.Text, p.Others, p.Reason)
}

// Equal reports whether two problems have the same reason and message.
func (p *Problem) Equal(other *Problem) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Reason == other.Reason && p.Message() == other.Message()
}

// Actionable reports whether the user has to act to solve a problem.
func (p *Problem) Actionable() bool {
	return Severity(p.Reason) > Severity(v1alpha2.ReasonPulling)
}

// Severity orders problems: a problem that the user has to solve is more severe than one that may be its consequence.
// It is negative for reasons that are not problems.
func Severity(reason string) int {
	order := []string{
		v1alpha2.ReasonNotReady,
		v1alpha2.ReasonPulling,
		v1alpha2.ReasonBrokerOffline,
		v1alpha2.ReasonLeadUnreachable,
		v1alpha2.ReasonNameNotResolved,
		v1alpha2.ReasonNetworkPolicy,
		v1alpha2.ReasonNotMounted,
		v1alpha2.ReasonUnschedulable,
		v1alpha2.ReasonPodsFailing,
		v1alpha2.ReasonPodsRejected,
		v1alpha2.ReasonQuotaExceeded,
		v1alpha2.ReasonCertificateInvalid,
		v1alpha2.ReasonContainerNotStarted,
		v1alpha2.ReasonImagePullFailed,
		v1alpha2.ReasonNodeLost,
	}
	return slices.Index(order, reason)
}

// Pods examines the pods of a Job. They are added one by one, and only a small part of each is kept.
type Pods struct {
	// flux is the name of the container that runs Flux.
	flux string
	// size is the desired number of indexes.
	size    int32
	now     time.Time
	indexes map[int32]*indexState
	kept    int
}

// NewPods returns a Pods without pods. flux is the name of the container that runs Flux, size the number of indexes.
func NewPods(flux string, size int32, now time.Time) *Pods {
	return &Pods{flux: flux, size: size, now: now, indexes: map[int32]*indexState{}}
}

// indexState is the state of the pods of one index.
type indexState struct {
	// ready: one of the pods is ready, so the index has no problem.
	ready bool
	// live: one of the pods has neither ended nor started to terminate.
	live bool
	// own is the first problem of a pod that has not ended.
	own *Problem
	// failed is the number of failed pods, last the problem of the one that ended last, at the time end.
	failed int
	last   *Problem
	end    time.Time
}

// Add examines a pod.
func (e *Pods) Add(pod *corev1.Pod) {
	index, ok := resources.PodIndex(pod)
	if !ok || pod.Status.Phase == corev1.PodSucceeded {
		return
	}
	state := e.indexes[index]
	if state == nil {
		state = &indexState{}
		e.indexes[index] = state
	}
	switch {
	case state.ready:
	case pod.Status.Phase == corev1.PodFailed:
		e.addFailed(state, pod)
	case pod.DeletionTimestamp == nil && podReady(pod):
		*state = indexState{ready: true}
	default:
		state.live = state.live || pod.DeletionTimestamp == nil
		if state.own == nil {
			state.own = e.identified(e.ofPod(pod))
		}
	}
}

func (e *Pods) addFailed(state *indexState, pod *corev1.Pod) {
	state.failed++
	if end := endOf(pod); state.last == nil || end.After(state.end) {
		state.end = end
		state.last = e.identified(&Problem{Reason: v1alpha2.ReasonPodsFailing, Text: nameOf(pod) + " " + describeEnd(pod, e.flux), Pod: pod})
	}
}

// maxKept is the number of pods that are kept in addition to that of the lead.
const maxKept = 100

// identified reduces the pod of a problem to what further checks need, and drops it if there are none for the reason.
func (e *Pods) identified(p *Problem) *Problem {
	if p == nil {
		return nil
	}
	pod := p.Pod
	p.Pod = nil
	switch p.Reason {
	case v1alpha2.ReasonNotMounted, v1alpha2.ReasonPodsFailing, v1alpha2.ReasonBrokerOffline:
	default:
		return p
	}
	if index, _ := resources.PodIndex(pod); index != 0 {
		if e.kept >= maxKept {
			return p
		}
		e.kept++
	}
	p.Pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels},
		Status:     corev1.PodStatus{PodIP: pod.Status.PodIP},
	}
	return p
}

// Worst returns the most severe problem, nil if no pod has one. If several pods have the same problem, it returns
// that of the lowest index: the other pods wait for the lead.
func (e *Pods) Worst() *Problem {
	var found []Problem
	for _, index := range slices.Sorted(maps.Keys(e.indexes)) {
		if p := e.ofIndex(index, e.indexes[index]); p != nil {
			found = append(found, *p)
		}
	}
	if len(found) == 0 {
		return nil
	}
	worst := slices.MaxFunc(found, func(a, b Problem) int { return cmp.Compare(Severity(a.Reason), Severity(b.Reason)) })
	for i := range found {
		if found[i].Reason == worst.Reason {
			worst.Others++
		}
	}
	worst.Others--
	return &worst
}

// ofIndex returns the problem of one index. Failed pods are a problem until a new pod replaces them, or if they fail
// repeatedly.
func (e *Pods) ofIndex(index int32, state *indexState) *Problem {
	own := state.own
	if index >= e.size || state.failed == 0 || (state.live && state.failed < 2) {
		return own
	}
	if own != nil && Severity(own.Reason) > Severity(v1alpha2.ReasonPodsFailing) {
		return own
	}
	p := *state.last
	p.Text = messages.PodFailing(p.Text, state.failed-1, state.live)
	return &p
}

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

// ofContainers returns the problem of containers that Kubernetes cannot start, or restarts repeatedly.
func ofContainers(pod *corev1.Pod, is problemFunc) *Problem {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		waiting := status.State.Waiting
		if waiting == nil {
			continue
		}
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
			return is(v1alpha2.ReasonImagePullFailed, messages.ImagePullFailed,
				pulledImage(pod, status.Name, waiting.Message), status.Name, resources.Quote(pullMessage(waiting)),
				imageAdvice(pod, status.Name, waiting.Message))
		case "CrashLoopBackOff":
			text := ""
			if last := status.LastTerminationState.Terminated; last != nil {
				text = " (last run: " + describeTerminated(last) + ")"
			}
			return is(v1alpha2.ReasonPodsFailing, messages.CrashLoop,
				status.Name, text, pod.Name, pod.Namespace, status.Name)
		case "CreateContainerConfigError", "CreateContainerError", "CreatePodSandboxError", "RunContainerError", "StartError", "PreCreateHookError", "PostStartHookError":
			return is(v1alpha2.ReasonContainerNotStarted, messages.ContainerNotStarted,
				status.Name, waiting.Reason, resources.Quote(waiting.Message), startAdvice(pod, waiting.Message))
		}
	}
	return nil
}

// pullMessage removes the parts that differ between attempts.
func pullMessage(waiting *corev1.ContainerStateWaiting) string {
	message := waiting.Message
	if waiting.Reason == "ImagePullBackOff" {
		if _, cause, found := strings.Cut(message, "ErrImagePull: "); found {
			message = cause
		}
	}
	return cmp.Or(message, waiting.Reason)
}

func imageAdvice(pod *corev1.Pod, container, message string) string {
	if v := imageVolume(pod, message); container == resources.AgentContainer || v != nil && v.Name == validation.AgentVolume {
		return messages.AdviceAgentImage
	}
	return messages.AdviceImage
}

// pulledImage returns the image that can't be pulled for a container: its own, or one that it mounts.
func pulledImage(pod *corev1.Pod, container, message string) string {
	if v := imageVolume(pod, message); v != nil && !strings.Contains(message, strconv.Quote(imageOf(pod, container))) {
		return v.Image.Reference
	}
	return imageOf(pod, container)
}

// imageVolume returns the volume whose image a message names.
func imageVolume(pod *corev1.Pod, message string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Image != nil && v.Image.Reference != "" && strings.Contains(message, strconv.Quote(v.Image.Reference)) {
			return v
		}
	}
	return nil
}

// startAdvice returns what to do about a container that can't be started. A runtime without image volumes ignores the
// image and finds a mount without a source; one that mounts images without the right to execute refuses the agent.
func startAdvice(pod *corev1.Pod, message string) string {
	mountsImages := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil })
	isSymptom := func(part string) bool { return strings.Contains(message, part) }
	if mountsImages && slices.ContainsFunc([]string{`""`, "image volume", "mount image", plan.AgentImageDir, plan.ViewImageDir}, isSymptom) {
		return fmt.Sprintf(messages.AdviceImageVolumes, pod.Spec.NodeName)
	}
	return messages.AdviceStart
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
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
