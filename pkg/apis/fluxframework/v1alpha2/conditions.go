package v1alpha2

import "k8s.io/apimachinery/pkg/api/meta"

// Condition types of a MiniCluster.
const (
	// ConditionAccepted is true when the spec is valid and the controller works on it. Its message names immutable
	// fields that were edited and fields without effect.
	ConditionAccepted = "Accepted"
	// ConditionReady is true when enough pods are ready for the cluster to work: its quorum of brokers is online.
	// It is also true, with the reason Complete, once the work has completed, and, with the reason Hibernated or
	// Suspended, while the spec asks for no pods and there are none.
	ConditionReady = "Ready"
	// ConditionProgressing is true while the cluster changes: it is being created or resized, or waits for something
	// that its message names.
	ConditionProgressing = "Progressing"
	// ConditionScalingLimited is true when the last requested size was not granted. Its message names both sizes.
	ConditionScalingLimited = "ScalingLimited"
	// ConditionAutoscaling is true while the HorizontalPodAutoscaler that spec.autoscaling describes scales the cluster.
	// Its message says what it follows, or why it does not scale. It exists with spec.autoscaling only.
	ConditionAutoscaling = "Autoscaling"
	// ConditionSuspended is true while the Job is suspended, for example by a queue, and while spec.suspend or a size of 0
	// keeps the cluster without a Job.
	ConditionSuspended = "Suspended"
	// ConditionHibernated is true while the cluster has no Job and its state is kept. Before and after, it says what
	// happens. It does not exist for a cluster that never hibernated.
	ConditionHibernated = "Hibernated"
	// ConditionComplete is permanently true once the work has succeeded.
	ConditionComplete = "Complete"
	// ConditionFailed is permanently true once the work has failed.
	ConditionFailed = "Failed"
	// ConditionStalled is true while the cluster needs the user: the spec is not valid, the
	// work has failed, or what running brokers depend on is lost. Tools that know no
	// MiniClusters read it; it does not exist otherwise.
	ConditionStalled = "Stalled"
	// ConditionReconciling is true while the cluster is not ready and the controller works
	// on that. Tools that know no MiniClusters read it; it does not exist otherwise.
	ConditionReconciling = "Reconciling"
)

// Reasons of conditions and of events. Kubernetes shows the reason of Ready in
// the column Status of `kubectl get`.
const (
	// ReasonValid: the spec is valid.
	ReasonValid = "Valid"
	// ReasonInvalid: the spec is invalid; the message names fields and how to correct them.
	ReasonInvalid = "Invalid"
	// ReasonHostPathNotAllowed: the spec has volumes in directories of nodes, which the controller does not permit.
	ReasonHostPathNotAllowed = "HostPathNotAllowed"
	// ReasonVolumesNotAllowed: the spec describes PersistentVolumes that the controller may not create.
	ReasonVolumesNotAllowed = "VolumesNotAllowed"
	// ReasonNoLeadPolicy: the spec has spec.lead, and the API server does not have the admission policy that applies it.
	ReasonNoLeadPolicy = "NoLeadPolicy"
	// ReasonImmutableFields: fields that are fixed at creation were edited.
	ReasonImmutableFields = "ImmutableFields"
	// ReasonFieldsWithoutEffect: the spec is valid and has fields without effect; the message names them.
	ReasonFieldsWithoutEffect = "FieldsWithoutEffect"
	// ReasonNameConflict: an object with a name that the MiniCluster needs belongs to something else.
	ReasonNameConflict = "NameConflict"
	// ReasonCertificateLost: the Secret with the certificate is missing while the Job that uses it exists.
	ReasonCertificateLost = "CertificateLost"
	// ReasonConfigLost: the ConfigMap is missing while the Job that uses it exists, and the edited spec describes
	// another configuration.
	ReasonConfigLost = "ConfigLost"

	// ReasonReady: the quorum is online.
	ReasonReady = "Ready"
	// ReasonNotReady: some pods do not exist yet, or are not ready.
	ReasonNotReady = "NotReady"
	// ReasonResizing: the Job has not reached its size yet.
	ReasonResizing = "Resizing"
	// ReasonDraining: the Job has to shrink, and removed ranks still run jobs.
	ReasonDraining = "Draining"
	// ReasonRetrying: a request failed and is retried; the message names it.
	ReasonRetrying = "Retrying"
	// ReasonWaiting: something has to end first; the message names it.
	ReasonWaiting = "Waiting"
	// ReasonStable: nothing changes.
	ReasonStable = "Stable"
	// ReasonLabelRemoved: nothing changes, and something removes the label by which the
	// controller finds its objects.
	ReasonLabelRemoved = "LabelRemoved"
	// ReasonFinished: the work has ended, so nothing changes any more.
	ReasonFinished = "Finished"
	// ReasonSuspended: the Job is suspended.
	ReasonSuspended = "Suspended"
	// ReasonNotSuspended: the Job is not suspended.
	ReasonNotSuspended = "NotSuspended"

	// ReasonHibernated: the Job was deleted after the state had been saved.
	ReasonHibernated = "Hibernated"
	// ReasonHibernating: running jobs end, or the state is being saved.
	ReasonHibernating = "Hibernating"
	// ReasonSaveFailed: the state could not be saved, so the pods stay.
	ReasonSaveFailed = "SaveFailed"
	// ReasonNothingKept: the cluster is stopped, and there is nothing that its state could be kept in.
	ReasonNothingKept = "NothingKept"
	// ReasonNotStarted: the cluster was created with spec.suspend or size 0.
	ReasonNotStarted = "NotStarted"
	// ReasonWaking: the cluster starts again.
	ReasonWaking = "Waking"
	// ReasonAwake: the cluster runs again.
	ReasonAwake = "Awake"

	// ReasonPulling: an image is being pulled, or an init container still runs.
	ReasonPulling = "Pulling"
	// ReasonImagePullFailed: an image can't be pulled.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonNotMounted: a pod waits for its volumes or its network.
	ReasonNotMounted = "NotMounted"
	// ReasonContainerNotStarted: a container cannot be started with its settings.
	ReasonContainerNotStarted = "ContainerNotStarted"
	// ReasonUnschedulable: a pod fits no node.
	ReasonUnschedulable = "Unschedulable"
	// ReasonQuotaExceeded: a quota rejects pods.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodsRejected: another admission plugin rejects pods, such as Pod Security, a limit range or a webhook.
	ReasonPodsRejected = "PodsRejected"
	// ReasonPodsFailing: pods, or containers in them, end and are replaced.
	ReasonPodsFailing = "PodsFailing"
	// ReasonNodeLost: the node of a pod does not respond.
	ReasonNodeLost = "NodeLost"
	// ReasonCertificateInvalid: the Secret with the user's certificate is missing or contains no valid certificate.
	ReasonCertificateInvalid = "CertificateInvalid"
	// ReasonNetworkPolicy: network policies prevent connections between brokers.
	ReasonNetworkPolicy = "NetworkPolicy"
	// ReasonNameNotResolved: a pod cannot resolve the name of the lead.
	ReasonNameNotResolved = "NameNotResolved"
	// ReasonLeadUnreachable: a pod cannot connect to the lead's broker.
	ReasonLeadUnreachable = "LeadUnreachable"
	// ReasonBrokerOffline: a pod runs, but its broker is not online.
	ReasonBrokerOffline = "BrokerOffline"

	// ReasonAutoscalerActive: the autoscaler sets the size.
	ReasonAutoscalerActive = "AutoscalerActive"
	// ReasonAutoscalerPending: the autoscaler has not been processed yet.
	ReasonAutoscalerPending = "AutoscalerPending"
	// ReasonMetricUnavailable: the autoscaler does not get its metric, or cannot scale for another reason.
	ReasonMetricUnavailable = "MetricUnavailable"
	// ReasonOtherAutoscaler: a HorizontalPodAutoscaler of a user scales the cluster, so the controller creates none.
	ReasonOtherAutoscaler = "OtherAutoscaler"

	// ReasonWithinBounds: the requested size is granted.
	ReasonWithinBounds = "WithinBounds"
	// ReasonAboveMaximum: a size above the maximum was rejected.
	ReasonAboveMaximum = "AboveMaximum"
	// ReasonBelowMinimum: a size below 1 or minSize was rejected.
	ReasonBelowMinimum = "BelowMinimum"
	// ReasonNotElastic reports a size that was rejected because Kueue would delete all pods of the Job to admit it.
	ReasonNotElastic = "NotElastic"
	// ReasonJobResizedExternally: another client changed the Job's size.
	ReasonJobResizedExternally = "JobResizedExternally"

	// ReasonComplete: the work has succeeded.
	ReasonComplete = "Complete"
	// ReasonFailed: the work has failed.
	ReasonFailed = "Failed"
	// ReasonJobDeleted: the Job was deleted after its program may have started, and
	// before its end was recorded.
	ReasonJobDeleted = "JobDeleted"
)

// Finished reports whether the work of the MiniCluster has succeeded or failed.
func (s *MiniClusterStatus) Finished() bool {
	return meta.IsStatusConditionTrue(s.Conditions, ConditionComplete) || meta.IsStatusConditionTrue(s.Conditions, ConditionFailed)
}
