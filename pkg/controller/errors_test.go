package controller

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// policyError is what the API server answers when a ValidatingAdmissionPolicy of the
// default reason refuses an object.
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
