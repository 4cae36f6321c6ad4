package user

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// AwaitRight waits until the API server, which reads roles and bindings with a delay, grants a user a right, or no
// longer does.
func (c Clients) AwaitRight(t testing.TB, name string, right authorizationv1.ResourceAttributes, granted bool) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: name, ResourceAttributes: &right}}
	Eventually(t, Patience, fmt.Sprintf("%s may %s %s: %t", name, right.Verb, right.Resource, granted), func(ctx context.Context) (string, error) {
		answer, err := c.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil && answer.Status.Allowed != granted {
			return "not yet: " + answer.Status.Reason, nil
		}
		return "", err
	})
}

// Restrict gives the namespace the level restricted of Pod Security, and waits until it is in effect.
func (c Clients) Restrict(t testing.TB) {
	t.Helper()
	_, err := c.Kube.CoreV1().Namespaces().Patch(t.Context(), c.Namespace, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.AwaitRefusal(t, "violates PodSecurity")
}

// AwaitRefusal waits until the API server, which reads policies and quotas with a delay, rejects all pods of the
// namespace for a reason.
func (c Clients) AwaitRefusal(t testing.TB, reason string) {
	t.Helper()
	trial := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "trial"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "trial", Image: "trial"}}},
	}
	Eventually(t, Patience, "pods to be rejected", func(ctx context.Context) (string, error) {
		_, err := c.Kube.CoreV1().Pods(c.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		// Pods are also forbidden until the namespace has its ServiceAccount.
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), reason) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return "any pod is accepted", nil
	})
}
