// Package messages holds every text that users see in conditions and events, so that the texts can be read and edited
// in one place. A function or constant makes the message of one reason. The package decides nothing: callers choose
// the reason. Do not write such a text anywhere else.
package messages

import (
	"fmt"
	"strings"
	"time"
)

// Condition Accepted.
const (
	SpecValid = "the spec is valid"
	// SecretNamespaceNotAllowed takes a key of spec.volumes, the namespace of its Secret and
	// that of the MiniCluster.
	SecretNamespaceNotAllowed = "spec.volumes[%s].secretNamespace: Secrets of namespace %s are not allowed: use a Secret of namespace %s, " +
		"or ask the administrator to add the namespace to the flag --volume-secret-namespaces of the controller"
	// HostPathNotAllowed takes a key of spec.volumes and the name of the storage class.
	HostPathNotAllowed = "spec.volumes[%s]: volumes in a directory of a node (storage class %s) are not allowed because they bypass Pod Security; " +
		"mount an existing claim (claimName in volumes of the container) instead, or ask the administrator to start the controller with --allow-hostpath-volumes"
	VolumesNotAllowed = "spec.volumes: the controller works in some namespaces only (--namespaces) and has no permission for PersistentVolumes, " +
		"which are cluster-scoped; ask for a volume and a claim, and mount the claim (claimName in volumes of the container, or existingVolumes)"
)

// DriverNotAllowed is the message of a volume of a CSI driver that the controller may not
// create PersistentVolumes for.
func DriverNotAllowed(key, driver string) string {
	return fmt.Sprintf("spec.volumes[%s]: PersistentVolumes of CSI driver %q are not allowed: mount an existing claim (claimName in volumes "+
		"of the container, or existingVolumes), or ask the administrator to add the driver to the flag --persistent-volumes of the controller", key, driver)
}

// IneffectiveFields is the message of a valid spec with fields that have no effect.
func IneffectiveFields(lines []string) string {
	return "the spec is valid; without effect: " + strings.Join(lines, "; ")
}

// ImmutableFields is the message of a spec whose immutable fields were edited. mutable are at least two others.
func ImmutableFields(fields, mutable []string) string {
	last := len(mutable) - 1
	return fmt.Sprintf("ignored: %s changed after creation; only %s and %s may change; "+
		"delete and recreate the MiniCluster to apply the new values", strings.Join(fields, ", "), strings.Join(mutable[:last], ", "), mutable[last])
}

// ObjectInvalid is the message of an object that the API server rejects as invalid.
func ObjectInvalid(object string, err error) string {
	return fmt.Sprintf("the API server rejects %s: %v", object, err)
}

// ImageVolumesRejected is added to ObjectInvalid if the API server drops image volumes.
const ImageVolumesRejected = "; the API server does not support image volumes: enable its feature gate ImageVolume, " +
	"or start the controller without --image-volumes"

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

// CertificateLost is the message of a Secret that was deleted while its Job exists.
// restart is that of [Restart].
func CertificateLost(secret, restart string) string {
	return fmt.Sprintf("Secret %q with the certificate of the running brokers does not exist any more, so new pods can't join them; "+
		"%s to restart with a new certificate", secret, restart)
}

// ConfigLost is the message of a ConfigMap that was deleted while its Job exists and
// the spec describes another configuration. restart is that of [Restart].
func ConfigLost(configMap, restart string, edited []string) string {
	restore := "restore the spec"
	if len(edited) > 0 {
		restore = "restore " + strings.Join(edited, ", ")
	}
	return fmt.Sprintf("ConfigMap %q of the running brokers does not exist any more, pods can't start without it, and the spec describes another configuration; "+
		"%s, or %s to restart with the current spec", configMap, restore, restart)
}

// NameConflict is the message of a name that another object already has.
func NameConflict(kind, name, holder, advice string) string {
	fix := "delete or rename that object"
	if advice != "" {
		fix += ", or " + advice
	}
	return fmt.Sprintf("%s %q already exists and is not controlled by this MiniCluster (%s); %s", kind, name, holder, fix)
}

// Parts of NameConflict.
const (
	NoController         = "it has no controller"
	HeadlessOfOthers     = "it is the headless Service of MiniClusters"
	MinimalServiceHolder = "it is the minimal Service of another MiniCluster, for lead brokers only"
	NoUIDLabel           = "it has no label %s with the UID of this MiniCluster"
	RenameSidecar        = "recreate the MiniCluster with another name for the sidecar"
	SetHeadlessName      = "set spec.network.headlessName to another name"
)

// ControlledBy is the part of NameConflict that names a controller.
func ControlledBy(kind, name, uid string) string {
	return fmt.Sprintf("it is controlled by %s %q, UID %s", kind, name, uid)
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

// count is a number with its noun: "1 pod", "2 pods".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Condition ScalingLimited.

// SizeGranted is the message of a size that the Job has.
func SizeGranted(size int32) string { return fmt.Sprintf("size %d was granted", size) }

// SizeWithinBounds is the message of a size that the Job does not have, or not yet.
func SizeWithinBounds(size int32) string { return fmt.Sprintf("size %d is within the bounds", size) }

// SizeAfterEnd is the message of a size that was requested too late.
func SizeAfterEnd(size int32) string {
	return fmt.Sprintf("size %d was requested after the work had finished", size)
}

// SizeWithoutCertificate is the message of a growth that is impossible.
func SizeWithoutCertificate(size int32) string {
	return fmt.Sprintf("size %d is rejected: new pods can't join brokers whose certificate is lost", size)
}

// JobResizedExternally is the message of a Job that another client resized.
func JobResizedExternally(parallelism, completions, size int32) string {
	return fmt.Sprintf("another client resized the Job to parallelism %d and completions %d; the controller keeps that size until spec.size (%d) changes",
		parallelism, completions, size)
}

// AboveMaximum is the message of a size that is too large.
func AboveMaximum(requested, maximum, granted int32) string {
	return fmt.Sprintf("size %d was rejected: the maximum is %d, the number of hosts registered with the brokers when the cluster was created; size is now %d",
		requested, maximum, granted)
}

// BelowMinimum is the message of a size that is too small.
func BelowMinimum(requested, minimum, granted int32) string {
	return fmt.Sprintf("size %d was rejected: the minimum is %d; size is now %d (to end the cluster, delete the MiniCluster)", requested, minimum, granted)
}

// NotElastic is the message of a size that Kueue would admit only after it has deleted all pods.
func NotElastic(requested, granted int32) string {
	return fmt.Sprintf("size %d was rejected: Kueue has admitted the Job with size %d, and would delete all its pods to admit another size; "+
		"size is now %d (create the MiniCluster with kueue.x-k8s.io/elastic-job: \"true\" in spec.jobAnnotations to resize it while it runs)", requested, granted, granted)
}

// Events about Jobs and volumes.
const (
	// JobCreated takes the name, the size and the maximum.
	JobCreated = "Created Job %s of size %d, maximum %d"
	// JobResized takes both sizes.
	JobResized = "Resized from %d to %d"
	// VolumesNotDeleted takes a label, its value and the error.
	VolumesNotDeleted = "The MiniCluster was deleted without its PersistentVolumes, because the controller has no permission to delete them: " +
		"delete the PersistentVolumes with the label %s=%s. %v"
)

// Draining.

// DrainTimedOut is the event of a drain that took too long.
func DrainTimedOut(size int32, ranks string, timeout time.Duration) string {
	return fmt.Sprintf("size %d: %s still busy after %s, stopped", size, ranks, timeout)
}

// DrainSkipped is the event of a Job that shrinks without draining.
func DrainSkipped(size int32, ranks, reason string) string {
	return fmt.Sprintf("size %d: %s not drained: %s", size, ranks, reason)
}

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
	AdviceAgentImage = "the image is set by --agent-image of the controller, and nodes must be able to pull it"
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
