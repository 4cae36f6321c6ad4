package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
)

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
