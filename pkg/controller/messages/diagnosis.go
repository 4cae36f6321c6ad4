package messages

import (
	"fmt"
	"strings"
)

// Diagnosis of pods. The comments list the arguments of each format; the name of the pod precedes each message.
const (
	// PodTerminatingLate takes the node.
	PodTerminatingLate = "has not terminated in time; make node %[1]q reachable or, if it is permanently lost, run `kubectl delete node %[1]s`: then Kubernetes replaces the pod"
	// NodeUnreachable takes the node.
	NodeUnreachable = "is on node %[1]q, which does not respond; make it reachable or, if it is permanently lost, run `kubectl delete node %[1]s`: then Kubernetes replaces the pod"
	// KubeletIdle takes the node.
	KubeletIdle = "is bound to node %q, which has not started it; check that its kubelet runs"
	// NodeStartsPod takes the node.
	NodeStartsPod = "is bound to node %q, which has not started it yet"
	// NotMounted takes the pod and its namespace.
	NotMounted = "waits for its volumes (including the ConfigMaps, Secrets and claims that the spec names) or for its network; run `kubectl describe pod %s -n %s`"
	// SchedulingGates takes the names of the gates.
	SchedulingGates = "has scheduling gates (%s) that have not been removed"
	// Unschedulable takes the message of the scheduler.
	Unschedulable = "fits no node: %s; add nodes, request fewer resources, or lower spec.size"
	// NotScheduled takes the scheduler.
	NotScheduled = "is not scheduled yet; check that scheduler %q runs"
	// ImagePullFailed takes the image, the container, the error and advice.
	ImagePullFailed = "can't pull image %q of container %s (%s); %s"
	// AdviceAgentImage and AdviceImage are the advice of ImagePullFailed.
	AdviceAgentImage = "it is the image of the controller, unless its flag --agent-image names another; nodes must be able to pull it"
	AdviceImage      = "check the name, the registry, and imagePullSecret of the container"
	// CrashLoop takes the container, how it ended, the pod, its namespace and the container.
	CrashLoop = "is not ready: container %s is crash-looping%s; see `kubectl logs %s -n %s -c %s --previous`"
	// ContainerNotStarted takes the container, the reason, the error and advice.
	ContainerNotStarted = "can't start container %s (%s: %s); %s"
	// AdviceStart is the advice of ContainerNotStarted where nothing else is known.
	AdviceStart = "correct what the message names"
	// AdviceImageVolumes takes the node. It is the advice where images can't be mounted.
	AdviceImageVolumes = "the pod mounts images, which the container runtime of node %s may not support (containerd from 2.1 on does); " +
		"upgrade it, or ask the administrator to start the controller without --image-volumes"
	// InitPulling takes the image and the container.
	InitPulling = "is pulling image %q of init container %s"
	// InitRunning takes the container.
	InitRunning = "is initializing: init container %s is running"
	// Pulling takes the image and the container.
	Pulling = "is pulling image %q of container %s"
	// ContainerEnded takes the container and how it ended.
	ContainerEnded = "is not ready: container %s %s"
	// SidecarStarting takes the container.
	SidecarStarting = "is initializing: its other containers wait until sidecar container %s has started; see its startup probe and postStart hook"
	// SidecarNotReady takes the container.
	SidecarNotReady = "is not ready: sidecar container %s is not ready"
	// BrokerOffline takes the pod and its namespace.
	BrokerOffline = "is running, but its broker is offline; see `kubectl logs %s -n %s`"

	DeadlineExceeded = "the Job ran longer than spec.deadlineSeconds; raise it if the work takes longer"
)

// MorePods adds the number of pods with the same problem.
func MorePods(text string, others int, reason string) string {
	if others == 0 {
		return text
	}
	return fmt.Sprintf("%s (%d more: %s)", text, others, reason)
}

// PodFailing is the message of an index whose pods fail. last says how the last one failed, before is the number of
// other failures.
func PodFailing(last string, before int, replaced bool) string {
	text := last
	if before > 0 {
		text += fmt.Sprintf(" (%s of this index failed before)", count(before, "other pod"))
	}
	if !replaced {
		text += "; Kubernetes replaces it after a back-off of 10 s, which doubles with each failure"
	}
	return text
}

// SeeLogs adds the command that shows the cause of a failure.
func SeeLogs(text, pod, namespace string) string {
	return fmt.Sprintf("%s; see `kubectl logs %s -n %s`", text, pod, namespace)
}

// QuotaExceeded and PodsRejected are the messages of pods that can't be created.
func QuotaExceeded(pods int, err string) string {
	return cantCreate(pods, err) + "; raise the quota, request fewer resources, or lower spec.size"
}

// PodsRejected is the message of pods that an admission plugin rejects.
func PodsRejected(pods int, err string) string {
	return cantCreate(pods, err) + "; correct what the message names, in the spec or in the namespace"
}

func cantCreate(pods int, err string) string {
	return fmt.Sprintf("%s can't be created: %s", count(pods, "pod"), err)
}

// CertificateInvalid is the message of a Secret with a user's certificate.
func CertificateInvalid(secret, what string) string {
	return fmt.Sprintf("Secret %q of spec.flux.curveCertSecret %s", secret, what)
}

// CertificateSecretMissing is a part of CertificateInvalid.
func CertificateSecretMissing(key string) string {
	return "does not exist; create it with the certificate in key " + key
}

// CertificateKeyMissing is a part of CertificateInvalid.
func CertificateKeyMissing(key string) string { return "has no key " + key }

// CertificateUnreadable is a part of CertificateInvalid.
func CertificateUnreadable(err error) string {
	return fmt.Sprintf("holds a certificate that Flux can't read: %v", err)
}

// AgentReports adds the agent's report about its broker.
func AgentReports(text, cause string) string { return text + "; its agent reports: " + cause }

// NetworkPolicies is the message of policies that block brokers.
func NetworkPolicies(policies string, blocked []string, label, value string) string {
	return fmt.Sprintf("NetworkPolicy %s of this namespace allows no %s; add a policy that does, for pods with the label %s=%s",
		policies, strings.Join(blocked, ", and no "), label, value)
}

// How containers and pods ended.
const (
	// OOMKilled takes the reason and the exit code.
	OOMKilled     = "was OOM-killed (%s, exit code %d); raise the memory limit in its resources"
	ExitStopped   = "was stopped (exit code 143)"
	ExitKilled    = "was killed (exit code 137)"
	ExitPrepare   = "could not be prepared for Flux (exit code 210)"
	ExitBroker    = "could not start its broker (exit code 211)"
	ExitHook      = "ended because a hook failed (exit code 212)"
	ExitSpec      = "cannot run the command of the spec or the image (exit code 213)"
	ExitCode      = "ended with exit code %d"
	PodFailed     = "failed"
	PodEvicted    = "was evicted: %s"
	PodDisrupted  = "was disrupted (%s: %s)"
	PodFailedWith = "failed (%s: %s)"
	// ContainerFailed takes the container and how it ended.
	ContainerFailed = "failed: container %s %s"
)
