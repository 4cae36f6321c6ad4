package controller

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// policyError is the answer of the API server when a ValidatingAdmissionPolicy with the default reason rejects an
// object.
func policyError() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: `jobs.batch "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no`,
		Details: &metav1.StatusDetails{Group: "batch", Kind: "jobs", Name: "a", Causes: []metav1.StatusCause{{Message: "no"}}},
	}}
}

func schemaError() error {
	return apierrors.NewInvalid(batchv1.SchemeGroupVersion.WithKind("Job").GroupKind(), "a",
		field.ErrorList{field.Required(field.NewPath("spec", "template"), "must be given")})
}

func TestIsPolicy(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"no status", errors.New("connection reset"), false},
		{"schema", schemaError(), false},
		{"policy", policyError(), true},
		{"wrapped", fmt.Errorf("creating the Job: %w", policyError()), true},
		{"webhook without details", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid}}, true},
		{"forbidden", apierrors.NewForbidden(gr(jobs), "a", errors.New("no")), false},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, isPolicy(tc.err)) })
	}
}

// TestClassify classifies an error of each kind, and joined errors.
func TestClassify(t *testing.T) {
	terminating := apierrors.NewForbidden(gr(jobs), "a", errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	request := errors.New("connection refused")
	held := nameConflict("Service", "nginx", "it has no controller", "")
	for _, tc := range []struct {
		name string
		err  error
		want outcome
		// failed: the error is logged.
		failed    bool
		auxiliary bool
	}{
		{name: "none", want: outcomeDone},
		{name: "terminal", err: invalid(v1alpha2.ReasonInvalid, "no"), want: outcomeTerminal},
		{name: "invalid by schema", err: invalidObject("the Job", schemaError()), want: outcomeTerminal},
		{name: "invalid by policy", err: invalidObject("the Job", policyError()), want: outcomeRejected},
		{name: "stale", err: stale(jobs), want: outcomeStale},
		{name: "wrapped", err: fmt.Errorf("job: %w", stale(jobs)), want: outcomeStale},
		{name: "conflict of versions", err: fmt.Errorf("size: %w", conflict(jobs, "a")), want: outcomeStale},
		{name: "name conflict", err: held, want: outcomeNameConflict},
		{name: "waiting", err: waitFor("x"), want: outcomeWaiting},
		{name: "namespace is terminating", err: fmt.Errorf("job: %w", terminating), want: outcomeEnded},
		{name: "request", err: request, want: outcomeFailed, failed: true},
		{name: "an auxiliary object", err: &auxiliaryError{errors.Join(request, held)}, want: outcomeNameConflict, failed: true, auxiliary: true},
		{name: "the status of an invalid spec", err: errors.Join(request, invalid(v1alpha2.ReasonInvalid, "no")), want: outcomeFailed, failed: true},
		{name: "an old status of an invalid spec", err: errors.Join(conflict(miniclusters, "a"), invalid(v1alpha2.ReasonInvalid, "no")), want: outcomeStale},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := classify(tc.err)
			assert.Equal(t, tc.want, v.outcome)
			assert.Equal(t, tc.failed, v.failed)
			assert.Equal(t, tc.auxiliary, v.auxiliary)
			if tc.err != nil {
				assert.NotEmpty(t, v.message)
			}
		})
	}
}

// TestImageVolumesRejected: an API server without image volumes drops the image and refuses a volume without a type.
func TestImageVolumesRejected(t *testing.T) {
	err := invalidObject("the Job", apierrors.NewInvalid(batchv1.SchemeGroupVersion.WithKind("Job").GroupKind(), "a",
		field.ErrorList{field.Required(field.NewPath("spec", "template", "spec", "volumes").Index(3), volumeWithoutType)}))
	assert.ErrorContains(t, err, "--image-volumes")
	assert.NotContains(t, invalidObject("the Job", schemaError()).Error(), "--image-volumes")
}

func TestEachOutcomeHasARow(t *testing.T) {
	for o := outcomeDone; o <= outcomeTerminal; o++ {
		assert.NotEmpty(t, o.row().result, "outcome %d", o)
	}
}
