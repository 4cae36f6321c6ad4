package controller

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// leadPlacement checks before the Job of a MiniCluster with spec.lead is created that the API server applies it. All
// pods of a Job have one template, so an admission policy changes the pod of index 0. Without the policy, the lead
// would start on any node. If the API server rejects the pod, the Job is created: the inspection of its pods reports
// why. If the API server does not answer, the check is repeated.
func (c *Controller) leadPlacement(ctx context.Context, s *syncState, job *batchv1.Job) error {
	if !resources.HasLeadPlacement(s.mc) {
		return nil
	}
	pod, err := c.kube.CoreV1().Pods(job.Namespace).Create(ctx, resources.BuildLeadPod(job),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager})
	switch {
	case isUnanswered(err):
		return fmt.Errorf("checking whether the API server applies spec.lead: %w", err)
	case err != nil:
		klog.FromContext(ctx).Info("Failed to check whether the API server applies spec.lead", "reason", err.Error())
		return nil
	case resources.LeadPlaced(pod):
		return nil
	}
	return &syncError{outcome: outcomeRejected, reason: v1alpha2.ReasonNoLeadPolicy, message: messages.NoLeadPolicy}
}

// isUnanswered reports whether an error is none about the object that was sent.
func isUnanswered(err error) bool {
	var answer apierrors.APIStatus
	return err != nil && (!errors.As(err, &answer) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err))
}
