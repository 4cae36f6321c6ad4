package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/metrics"
	"minicluster.internal/operator/pkg/controller/status"
)

// outcome is how a sync ended. The outcomes are in the order of their precedence: of joined errors, the first outcome
// in this order applies.
type outcome int

const (
	// outcomeDone: all steps are done, and nothing is due.
	outcomeDone outcome = iota
	// outcomeDelayed: all steps are done, and another sync is due after a time.
	outcomeDelayed
	// outcomeStale: a cache does not contain a known change yet. This is not a failure.
	outcomeStale
	// outcomeNameConflict: another object has a name that the MiniCluster needs. It may belong to a deleted MiniCluster
	// of the same name.
	outcomeNameConflict
	// outcomeWaiting: something has to end first, and no event reports its end.
	outcomeWaiting
	// outcomeEnded: the namespace is being deleted, and nothing can be created in it.
	outcomeEnded
	// outcomeFailed: a request failed.
	outcomeFailed
	// outcomeRejected: an admission policy rejects an object. The policy may change.
	outcomeRejected
	// outcomeTerminal: the user has to edit the spec.
	outcomeTerminal
)

// retryPolicy says when a MiniCluster is synced again without an event.
type retryPolicy int

const (
	retryNever retryPolicy = iota
	// retryAfterWrite: once more after a write, see recheckAfterWrite.
	retryAfterWrite
	retryRateLimited
	retryStale
	retryNameConflict
	retryWaiting
)

// outcomeRow is the consequences of an outcome.
type outcomeRow struct {
	// result is the label of the metric.
	result metrics.SyncResult
	// retry is when the next sync is due.
	retry retryPolicy
	// keepFailures: the number of earlier failures is kept.
	keepFailures bool
	// report is the outcome in the status.
	report status.OutcomeKind
	// skipStatus: the status is not written, since the sync does not have enough information.
	skipStatus bool
}

// row returns the row of an outcome in the table of outcomes.
func (o outcome) row() outcomeRow {
	return [...]outcomeRow{
		outcomeDone:         {result: metrics.SyncDone, retry: retryAfterWrite, report: status.Done},
		outcomeDelayed:      {result: metrics.SyncDelayed, retry: retryAfterWrite, report: status.Done},
		outcomeStale:        {result: metrics.SyncStale, retry: retryStale, keepFailures: true, skipStatus: true},
		outcomeNameConflict: {result: metrics.SyncNameConflict, retry: retryNameConflict, report: status.NameConflict},
		outcomeWaiting:      {result: metrics.SyncWaiting, retry: retryWaiting, report: status.Waiting},
		outcomeEnded:        {result: metrics.SyncNamespaceTerminating, retry: retryNever, skipStatus: true},
		outcomeFailed:       {result: metrics.SyncError, retry: retryRateLimited, keepFailures: true, report: status.Retrying},
		outcomeRejected:     {result: metrics.SyncInvalid, retry: retryRateLimited, keepFailures: true, report: status.Invalid},
		outcomeTerminal:     {result: metrics.SyncInvalid, retry: retryNever, report: status.Invalid},
	}[o]
}

// syncError ends a step with an outcome other than a failed request.
type syncError struct {
	outcome outcome
	// reason is the reason of the condition Accepted, for rejected and terminal outcomes.
	reason  string
	message string
}

func (e *syncError) Error() string { return e.message }

// invalid ends a sync until the user edits the spec.
func invalid(reason, message string) error {
	return &syncError{outcome: outcomeTerminal, reason: reason, message: message}
}

// volumeWithoutType is what an API server says of a volume whose type it does not know. Of the types that the
// controller uses, only images are that new.
const volumeWithoutType = "must specify a volume type"

// invalidObject ends a sync whose object the API server rejects as invalid: permanently, or for as long as an
// admission policy rejects it.
func invalidObject(object string, err error) error {
	e := &syncError{outcome: outcomeTerminal, reason: v1alpha2.ReasonInvalid, message: messages.ObjectInvalid(object, err)}
	if strings.Contains(err.Error(), volumeWithoutType) {
		e.message += messages.ImageVolumesRejected
	}
	if isPolicy(err) {
		e.outcome = outcomeRejected
	}
	return e
}

// nameConflict ends a sync because of another object with the same name. holder describes that object, advice is a
// remedy other than to delete or rename it.
func nameConflict(kind, name, holder, advice string) error {
	return &syncError{outcome: outcomeNameConflict, message: messages.NameConflict(kind, name, holder, advice)}
}

// waitFor ends a sync that has to wait.
func waitFor(message string) error { return &syncError{outcome: outcomeWaiting, message: message} }

// stale ends a sync because the cache of a resource is stale.
func stale(r cachedResource) error {
	return &syncError{outcome: outcomeStale, message: fmt.Sprintf("the cache of %s is not up to date", r)}
}

// auxiliaryError wraps an error about objects that the cluster works without.
type auxiliaryError struct{ error }

func (e *auxiliaryError) Unwrap() error { return e.error }

// verdict is the classification of an error.
type verdict struct {
	outcome outcome
	// reason and message are for the status.
	reason, message string
	// auxiliary: the error affects only objects that the cluster works without.
	auxiliary bool
	// failed: a request failed, in addition to any other outcome.
	failed bool
}

// classify classifies the error of a sync. Errors are classified nowhere else.
func classify(err error) verdict {
	if err == nil {
		return verdict{outcome: outcomeDone}
	}
	v := verdict{outcome: outcomeTerminal + 1}
	v.add(err)
	if v.outcome == outcomeFailed {
		v.message = err.Error()
	}
	return v
}

// add adds an error, and those that it wraps, to the verdict.
func (v *verdict) add(err error) {
	switch e := err.(type) { //nolint:errorlint // add walks the tree of errors itself
	case *syncError:
		v.prefer(e.outcome, e.reason, e.message)
		return
	case *auxiliaryError:
		v.auxiliary = true
	}
	switch e := err.(type) { //nolint:errorlint // add walks the tree of errors itself
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			v.add(inner)
		}
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			v.add(inner)
			return
		}
		v.addRequest(err)
	default:
		v.addRequest(err)
	}
}

// addRequest adds the error of a request to the verdict.
func (v *verdict) addRequest(err error) {
	switch {
	case apierrors.IsConflict(err):
		v.prefer(outcomeStale, "", err.Error()) // the write was based on an old version
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		v.prefer(outcomeEnded, "", err.Error())
	default:
		v.failed = true
		v.prefer(outcomeFailed, "", err.Error())
	}
}

func (v *verdict) prefer(o outcome, reason, message string) {
	if o < v.outcome {
		v.outcome, v.reason, v.message = o, reason, message
	}
}

// report returns the verdict in the form of the status.
func (v verdict) report() status.Outcome {
	return status.Outcome{
		Kind: v.outcome.row().report, Reason: v.reason, Message: v.message,
		Retried: v.outcome == outcomeRejected, Auxiliary: v.auxiliary,
	}
}

// skipsStatus reports whether a sync does not have enough information to write the status.
func skipsStatus(err error) bool { return classify(err).outcome.row().skipStatus }

// isPolicy reports whether the API server rejected an object as invalid because of an admission policy, which may
// change, and not because of the schema of the object, whose error names the invalid fields.
func isPolicy(err error) bool {
	var apiStatus apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &apiStatus) {
		return false
	}
	details := apiStatus.Status().Details
	return details == nil || !slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool { return c.Field != "" })
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// delay is the time until another sync is due.
type delay struct{ after time.Duration }

// requeueAfter requests another sync after a time. The shortest of several times applies.
func (d *delay) requeueAfter(after time.Duration) {
	if after > 0 && (d.after == 0 || after < d.after) {
		d.after = after
	}
}
