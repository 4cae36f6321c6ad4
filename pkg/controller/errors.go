package controller

import (
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// terminalError ends a sync that a change by the user has to help. It is reported in
// the Accepted condition.
type terminalError struct {
	reason  string
	message string
	// retry: the user may also change something else than the MiniCluster, which
	// nobody tells us of.
	retry bool
}

func (e *terminalError) Error() string { return e.message }

// heldError says that an object which is not ours holds a name that we need.
// The predecessor of a recreated MiniCluster may still be going, so it is tried
// again, soon at first.
type heldError struct {
	kind, name, holder string
	// advice says what else than to delete or rename that object helps.
	advice string
}

func (e *heldError) Error() string {
	advice := "delete or rename that object"
	if e.advice != "" {
		advice += ", or " + e.advice
	}
	return fmt.Sprintf("the name of %s %q is held by an object that does not belong to this MiniCluster (%s); %s",
		e.kind, e.name, e.holder, advice)
}

// staleError says that a cache has not yet seen what we know to be true. It is
// no failure: the sync is tried again a moment later.
type staleError struct {
	what string
}

func (e *staleError) Error() string { return "the cache of " + e.what + " is behind" }

// delayError asks for another sync after a time, for nothing went wrong.
type delayError struct {
	after time.Duration
}

func (e *delayError) Error() string { return "sync again after " + e.after.String() }

// waitError says that something has to end first which nobody tells us of. It is
// tried again, soon at first.
type waitError struct {
	message string
}

func (e *waitError) Error() string { return e.message }

// besideError is about an object beside the Job, without which the cluster runs,
// grows and shrinks.
type besideError struct {
	err error
}

func (e *besideError) Error() string { return e.err.Error() }

func (e *besideError) Unwrap() error { return e.err }

// isBeside tells whether an error is about an object beside the Job only.
func isBeside(err error) bool {
	var beside *besideError
	return errors.As(err, &beside)
}

// isStale tells whether an error means that a cache was behind: our own guard
// says so, or the API server refused a write that was based on an old version.
func isStale(err error) bool {
	var stale *staleError
	return errors.As(err, &stale) || apierrors.IsConflict(err)
}

// isPolicy tells whether the API server refused an object as invalid for the sake of
// an admission policy, which may change, and not of the object's own schema: that
// names the fields that are wrong.
func isPolicy(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || !slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool { return c.Field != "" })
}

// isGoing tells whether an error means that the namespace is being deleted, so
// that nothing can be made in it and nothing needs to be.
func isGoing(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}
