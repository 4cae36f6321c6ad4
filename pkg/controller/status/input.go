package status

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Input is everything that the status depends on.
type Input struct {
	// MiniCluster has its defaults set. Its status is the one that was written last.
	MiniCluster *v1alpha2.MiniCluster
	// Fixed are the values that were fixed when the cluster was created.
	Fixed resources.Fixed
	// Environment decides which fields of the spec have an effect.
	Environment resources.Environment
	// Job and ConfigMap belong to the MiniCluster; nil if they do not exist.
	Job       *batchv1.Job
	ConfigMap *corev1.ConfigMap
	// LeadReady reports whether the lead broker has its quorum and runs; nil if that is unknown.
	LeadReady *bool
	// Outcome is how the sync ended.
	Outcome Outcome
	Observed
}

// Observed is what a sync found in addition to the objects themselves.
type Observed struct {
	// Invalid describes invalid mutable fields; "" if they are valid.
	Invalid string
	// Edited are immutable fields that were edited after creation.
	Edited []string
	// MisplacedLead is the name of the pod of the lead if it was created without spec.lead; "" otherwise.
	MisplacedLead string
	// CertificateLost: the Secret is missing while the Job that uses it exists.
	CertificateLost bool
	// ConfigLost: the ConfigMap is missing while the Job that uses it exists, and the spec describes another
	// configuration.
	ConfigLost bool
	// GrowthRejected: a larger size was requested while the certificate is lost.
	GrowthRejected bool
	// Drain is the wait before the Job shrinks, or one that is over but whose ranks are still drained. It becomes
	// status.drain.
	Drain *v1alpha2.DrainStatus
	// NodeDrains are the ranks that are drained because of their nodes. They become status.nodeDrains.
	NodeDrains []v1alpha2.NodeDrainStatus
	// Draining says what the drain waits for; "" if none is in progress.
	Draining string
	// Hibernation is a cluster that has no Job on purpose, or is about to lose it; nil for others.
	Hibernation *Hibernation
	// ResizedExternally says how another client resized the Job within the bounds; "" if none did.
	ResizedExternally string
	// JobDeleted: the Job was deleted after its program may have started, and before its
	// end was known.
	JobDeleted bool
	// DeletedJobEnd is how a Job ended that does not exist any more; nil where it exists, or
	// where its end is unknown.
	DeletedJobEnd *batchv1.JobCondition
	// Lead is how the lead ended, as far as its pod shows it.
	Lead LeadEnd
	// Unlabeled are objects without the label of this controller, which something removes.
	Unlabeled []string
	// Autoscaling is the state of the autoscaler; nil if it was not read.
	Autoscaling *Autoscaling
	// Problem is why pods do not become ready; nil if unknown.
	Problem *Problem
	// FailureCause is why the Job failed, in addition to its own message.
	FailureCause string
}

// LeadEnd is how the lead ended. Only its Flux container decides whether the work is complete.
type LeadEnd struct {
	// Unknown: the Job has failed, and the pods could not be listed.
	Unknown bool
	// Succeeded: the Flux container of the lead has ended with exit code 0, whatever the Job says.
	Succeeded bool
	// Sidecars says which sidecars failed, and how.
	Sidecars []string
	// KeptBy says which containers keep the pod of the lead running; "" if none do.
	KeptBy string
}

// Autoscaling is the state of the autoscaler of a MiniCluster.
type Autoscaling struct {
	// Removed: there is none any more.
	Removed bool
	// Active: it sets the size.
	Active bool
	// Reason and Message are those of the condition.
	Reason, Message string
}

// Problem is the reason why pods do not become ready.
type Problem struct {
	// Reason is the reason of the conditions Ready and Progressing.
	Reason string
	// Message names the pod and a remedy.
	Message string
	// Actionable: the user has to act, so an event reports it.
	Actionable bool
}

// OutcomeKind is how a sync ended, as far as the status depends on it.
type OutcomeKind int

// Kinds of outcomes.
const (
	// Done: all steps of the sync are done, or it has nothing to report.
	Done OutcomeKind = iota
	// Invalid: the spec, or an object that it describes, is invalid.
	Invalid
	// NameConflict: another object has a name that the MiniCluster needs.
	NameConflict
	// Waiting: something has to end first.
	Waiting
	// Retrying: a request failed and is retried.
	Retrying
)

// Outcome is how a sync ended.
type Outcome struct {
	Kind OutcomeKind
	// Reason is the reason of Accepted and Ready if the kind is Invalid.
	Reason string
	// Message explains any kind but Done.
	Message string
	// Retried: an Invalid outcome that may become valid without an edit of the spec.
	Retried bool
	// Auxiliary: the outcome affects only objects that the cluster works without.
	Auxiliary bool
}
