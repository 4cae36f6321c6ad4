package v1alpha2

import "k8s.io/apimachinery/pkg/api/meta"

// Condition types of a MiniCluster.
const (
	// ConditionAccepted is true when the spec is valid and the controller works
	// on it. Its message names fields that were edited too late to matter, or that
	// have no effect.
	ConditionAccepted = "Accepted"
	// ConditionReady is true when so many pods are ready that the cluster works: its
	// quorum of brokers is online.
	ConditionReady = "Ready"
	// ConditionProgressing is true while the cluster changes: it is being made,
	// resized or waits for something that its message names.
	ConditionProgressing = "Progressing"
	// ConditionScalingLimited is true when the last size that was asked for was
	// not granted. Its message names both sizes.
	ConditionScalingLimited = "ScalingLimited"
	// ConditionSuspended is true while the Job is suspended, by a queue for
	// example.
	ConditionSuspended = "Suspended"
	// ConditionComplete is true for good once the work has ended well.
	ConditionComplete = "Complete"
	// ConditionFailed is true for good once the work has failed.
	ConditionFailed = "Failed"
)

// Reasons of conditions and of events. Kubernetes shows the reason of Ready in
// the column Status of `kubectl get`.
const (
	// ReasonValid: the spec is valid.
	ReasonValid = "Valid"
	// ReasonInvalid: the spec is not valid; the message names fields and fixes.
	ReasonInvalid = "Invalid"
	// ReasonHostPathNotAllowed: the spec has volumes in directories of nodes, and
	// the controller is not allowed to make any.
	ReasonHostPathNotAllowed = "HostPathNotAllowed"
	// ReasonVolumesNotAllowed: the spec has volumes that lie in no namespace, and the
	// controller works in some namespaces only.
	ReasonVolumesNotAllowed = "VolumesNotAllowed"
	// ReasonImmutableFields: fields were edited that are fixed at creation.
	ReasonImmutableFields = "ImmutableFields"
	// ReasonFieldsWithoutEffect: the spec is valid, and has fields that do nothing; the
	// message names them.
	ReasonFieldsWithoutEffect = "FieldsWithoutEffect"
	// ReasonNameConflict: an object that is not ours holds a name that we need.
	ReasonNameConflict = "NameConflict"
	// ReasonCertificateLost: the Secret with the certificate is gone while the
	// Job that uses it exists.
	ReasonCertificateLost = "CertificateLost"
	// ReasonConfigLost: the ConfigMap is gone while the Job that uses it exists,
	// and the spec was edited so that another one would come out.
	ReasonConfigLost = "ConfigLost"

	// ReasonReady: the quorum is online.
	ReasonReady = "Ready"
	// ReasonNotReady: some pods do not exist yet, or are not ready.
	ReasonNotReady = "NotReady"
	// ReasonResizing: the Job is on its way to another size.
	ReasonResizing = "Resizing"
	// ReasonDraining: the Job is to shrink, and ranks that are to go still run jobs.
	ReasonDraining = "Draining"
	// ReasonRetrying: a request failed and will be tried again; the message says
	// which.
	ReasonRetrying = "Retrying"
	// ReasonWaiting: something has to end first; the message says what.
	ReasonWaiting = "Waiting"
	// ReasonStable: nothing changes.
	ReasonStable = "Stable"
	// ReasonFinished: the work has ended, so that nothing will change any more.
	ReasonFinished = "Finished"
	// ReasonSuspended: the Job is suspended.
	ReasonSuspended = "Suspended"
	// ReasonNotSuspended: the Job is not suspended.
	ReasonNotSuspended = "NotSuspended"

	// ReasonPulling: an image is being pulled, or an init container still runs.
	ReasonPulling = "Pulling"
	// ReasonImagePullFailed: an image can't be pulled.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonNotMounted: a pod waits for its volumes or its network.
	ReasonNotMounted = "NotMounted"
	// ReasonContainerNotStarted: a container can't be started as it is described.
	ReasonContainerNotStarted = "ContainerNotStarted"
	// ReasonUnschedulable: a pod fits no node.
	ReasonUnschedulable = "Unschedulable"
	// ReasonQuotaExceeded: a quota refuses pods.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodsRejected: something else refuses pods, such as Pod Security, a limit
	// range or a webhook.
	ReasonPodsRejected = "PodsRejected"
	// ReasonPodsFailing: pods, or containers in them, end and are made again.
	ReasonPodsFailing = "PodsFailing"
	// ReasonNodeLost: the node of a pod does not answer.
	ReasonNodeLost = "NodeLost"
	// ReasonCertificateInvalid: the Secret with the user's own certificate is missing
	// or holds none.
	ReasonCertificateInvalid = "CertificateInvalid"
	// ReasonNetworkPolicy: network policies keep brokers apart.
	ReasonNetworkPolicy = "NetworkPolicy"
	// ReasonNameNotResolved: a pod can't resolve the name of the lead.
	ReasonNameNotResolved = "NameNotResolved"
	// ReasonLeadUnreachable: a pod can't connect to the lead's broker.
	ReasonLeadUnreachable = "LeadUnreachable"
	// ReasonBrokerOffline: a pod runs, and its broker is not online.
	ReasonBrokerOffline = "BrokerOffline"

	// ReasonWithinBounds: the size that was asked for was granted, or will be.
	ReasonWithinBounds = "WithinBounds"
	// ReasonAboveMaximum: a size above the maximum was rejected.
	ReasonAboveMaximum = "AboveMaximum"
	// ReasonBelowMinimum: a size below 1 or minSize was rejected.
	ReasonBelowMinimum = "BelowMinimum"
	// ReasonJobResizedExternally: another controller changed the Job's size.
	ReasonJobResizedExternally = "JobResizedExternally"

	// ReasonComplete: the work has ended well.
	ReasonComplete = "Complete"
	// ReasonFailed: the work has failed.
	ReasonFailed = "Failed"
	// ReasonJobDeleted: the Job was deleted after its program may have started, and
	// before its end was recorded.
	ReasonJobDeleted = "JobDeleted"
)

// Finished reports whether the MiniCluster has ended for good, well or not.
func (s *MiniClusterStatus) Finished() bool {
	return meta.IsStatusConditionTrue(s.Conditions, ConditionComplete) || meta.IsStatusConditionTrue(s.Conditions, ConditionFailed)
}
