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
	// Job and ConfigMap belong to the MiniCluster; nil where they do not exist.
	Job       *batchv1.Job
	ConfigMap *corev1.ConfigMap
	// Outcome is how the sync ended.
	Outcome Outcome
	Observed
}

// Observed is what a sync learned beside the objects themselves.
type Observed struct {
	// Invalid says what is wrong with fields that may change after creation; "" where
	// they are valid.
	Invalid string
	// Edited are immutable fields that were edited after creation.
	Edited []string
	// CertificateLost: the Secret does not exist while the Job that uses it does.
	CertificateLost bool
	// ConfigLost: the ConfigMap does not exist while the Job that uses it does, and the
	// spec describes another configuration.
	ConfigLost bool
	// GrowthRejected: a larger size was requested while the certificate is lost.
	GrowthRejected bool
	// Drain is the wait before the Job shrinks, also one that is over but whose ranks
	// are still drained. It becomes status.drain.
	Drain *v1alpha2.DrainStatus
	// Draining says what the drain waits for; "" where none is in progress.
	Draining string
	// ResizedExternally says how something else resized the Job within the bounds; ""
	// where nothing did.
	ResizedExternally string
	// Problem is why pods do not become ready; nil while that is unknown.
	Problem *Problem
	// FailureCause is why the Job failed, in addition to its own message.
	FailureCause string
}

// Problem is what keeps pods from becoming ready.
type Problem struct {
	// Reason is that of the conditions Ready and Progressing.
	Reason string
	// Message names the pod and a remedy.
	Message string
	// Actionable: the user has to do something, so that an event reports it.
	Actionable bool
}

// OutcomeKind says how a sync ended, as far as the status depends on it.
type OutcomeKind int

// Kinds of outcomes.
const (
	// Done: the sync did all its steps, or has nothing to report.
	Done OutcomeKind = iota
	// Invalid: the spec, or an object that it describes, is invalid.
	Invalid
	// NameConflict: an object of somebody else has a name that is needed.
	NameConflict
	// Waiting: something has to end first.
	Waiting
	// Retrying: a request failed and is retried.
	Retrying
)

// Outcome is how a sync ended.
type Outcome struct {
	Kind OutcomeKind
	// Reason is that of Accepted and Ready where the kind is Invalid.
	Reason string
	// Message explains any kind but Done.
	Message string
	// Retried: an Invalid outcome that may become valid without an edit of the spec.
	Retried bool
	// Auxiliary: only objects are affected that the cluster works without.
	Auxiliary bool
}
