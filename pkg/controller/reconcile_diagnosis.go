package controller

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// diagnose reports why a cluster failed, or why it has lacked ready pods for some time. Only the status depends on the
// result, so a request that fails here does not fail the sync. A healthy cluster causes no request.
func (c *Controller) diagnose(ctx context.Context, s *syncState) {
	end := resources.FailedCondition(s.job)
	switch {
	case s.job == nil || s.mc.Status.Finished():
		c.diagnosisSchedule.Forget(s.name())
	case end != nil:
		c.diagnosisSchedule.Forget(s.name())
		c.endOfFailedJob(ctx, s, end)
	case resources.FinishedCondition(s.job) != nil:
		c.diagnosisSchedule.Forget(s.name())
		c.endOfCompleteJob(ctx, s)
	case !resources.LacksPods(s.job):
		c.diagnosisSchedule.Forget(s.name())
	default:
		if err := c.checkLead(ctx, s); err != nil {
			klog.FromContext(ctx).Error(err, "Failed to determine how the lead ended")
			s.requeueAfter(conflictBase)
		}
		if c.diagnosisSchedule.Enabled() && !s.observed.Lead.Succeeded {
			c.reportProblem(s)
		}
	}
}

// lacksPods reports whether a MiniCluster has a Job whose pods are not all ready.
func lacksPods(mc *v1alpha2.MiniCluster, job *batchv1.Job) bool {
	return job != nil && !mc.Status.Finished() && resources.LacksPods(job)
}

// reportProblem reports the result of the last inspection of the pods, and schedules the next one.
func (c *Controller) reportProblem(s *syncState) {
	wait, found := c.diagnosisSchedule.Due(s.name(), s.job, knownProblem(s.mc))
	if found != nil {
		s.observed.Problem = &status.Problem{Reason: found.Reason, Message: found.Message(), Actionable: found.Actionable()}
	}
	c.diagnosisQueue.AddAfter(s.key, wait)
}

// knownProblem reports whether the status shows a problem of the pods.
func knownProblem(mc *v1alpha2.MiniCluster) bool {
	before := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing)
	return before != nil && diagnosis.Severity(before.Reason) > diagnosis.Severity(v1alpha2.ReasonNotReady)
}

// dryRunPod creates a pod of the Job as a dry run and returns the error of the API
// server. The server runs all checks and admission plugins and then drops the pod. It is
// that of the lead if the Job has none: the Job controller begins with it, and a policy may
// reject it alone.
func (c *Controller) dryRunPod(ctx context.Context, s *syncState, hasLead bool) error {
	job, err := c.kube.BatchV1().Jobs(s.job.Namespace).Get(ctx, s.job.Name, metav1.GetOptions{}) // the cache has no templates
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
	pod.GenerateName, pod.Namespace = s.job.Name+"-", s.job.Namespace
	if !hasLead {
		pod = resources.BuildLeadPod(job)
	}
	_, err = c.kube.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("The API server rejects a pod of the Job", "reason", err.Error())
	}
	return err
}

// certificateProblem checks the user's own certificate. It returns nil if there is none or if it is valid. Brokers
// report only that a certificate is invalid.
func (c *Controller) certificateProblem(ctx context.Context, s *syncState) *diagnosis.Problem {
	name := resources.CertificateSecretName(s.mc)
	if name == resources.SecretName(s.mc) || !resources.CreatedByController(s.job) {
		return nil
	}
	secret, err := c.kube.CoreV1().Secrets(s.mc.Namespace).Get(ctx, name, metav1.GetOptions{})
	if ignoreNotFound(err) != nil {
		return nil
	}
	if err != nil {
		secret = nil
	}
	return diagnosis.OfCertificate(name, s.mc.Name, secret)
}

// whyOffline determines why a running broker is offline.
func (c *Controller) whyOffline(ctx context.Context, s *syncState, p *diagnosis.Problem) *diagnosis.Problem {
	if certificate := c.certificateProblem(ctx, s); certificate != nil {
		return certificate
	}
	policies, err := c.kube.NetworkingV1().NetworkPolicies(s.mc.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Failed to list network policies", "reason", err.Error())
	} else if blocked := diagnosis.OfNetworkPolicies(p, policies.Items); blocked != nil {
		return blocked
	}
	if !resources.CreatedByController(s.job) {
		return p
	}
	cause, ok := c.joins.Cause(ctx, p.Pod.Status.PodIP, fluxconfig.HTTPPort(s.mc))
	if !ok {
		return p
	}
	return diagnosis.WithJoinCause(p, cause)
}
