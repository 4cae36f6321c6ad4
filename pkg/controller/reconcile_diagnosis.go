package controller

import (
	"context"

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

// diagnose determines why a cluster failed, or why it has lacked ready pods for some time. Only the status depends on
// the result, so a request that fails here does not fail the sync. A healthy cluster causes no request.
func (c *Controller) diagnose(ctx context.Context, s *syncState) {
	end := resources.FailedCondition(s.job)
	switch {
	case s.job == nil || s.mc.Status.Finished() || !resources.LacksPods(s.job):
		c.diagnosisSchedule.Forget(s.name())
	case end != nil:
		c.diagnosisSchedule.Forget(s.name())
		pods, err := c.podsOf(ctx, s)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Failed to determine which pod caused the Job to fail")
			return
		}
		s.observed.FailureCause = diagnosis.FailureCause(end, pods, s.mc.Name)
	case c.diagnosisSchedule.Enabled():
		c.diagnosePods(ctx, s)
	}
}

// diagnosePods inspects the pods when an inspection is due, and keeps the result until the next one.
func (c *Controller) diagnosePods(ctx context.Context, s *syncState) {
	before := meta.FindStatusCondition(s.mc.Status.Conditions, v1alpha2.ConditionProgressing)
	known := before != nil && diagnosis.Severity(before.Reason) > diagnosis.Severity(v1alpha2.ReasonNotReady)
	wait, found := c.diagnosisSchedule.Due(s.name(), s.job.UID, resources.Parallelism(s.job), known)
	if wait == 0 {
		now, err := c.findProblem(ctx, s)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Failed to determine why the cluster is not ready")
		} else {
			found = now
		}
		wait = c.diagnosisSchedule.Checked(s.name(), found)
	}
	if found != nil {
		s.observed.Problem = &status.Problem{Reason: found.Reason, Message: found.Message(), Actionable: found.Actionable()}
	}
	s.requeueAfter(wait)
}

// findProblem lists the pods, and reads more objects if the pods do not explain the problem.
func (c *Controller) findProblem(ctx context.Context, s *syncState) (*diagnosis.Problem, error) {
	pods, err := c.podsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	p := diagnosis.OfPods(pods, s.mc.Name, resources.Parallelism(s.job), c.clock.Now())
	if resources.LacksPodObjects(s.job) {
		rejection := c.dryRunPod(ctx, s)
		if err := c.abandonRejectedJob(ctx, s.mc, rejection); err != nil {
			return nil, err
		}
		if rejected := diagnosis.OfRejectedPods(s.job, rejection); rejected != nil && (p == nil || diagnosis.Severity(rejected.Reason) > diagnosis.Severity(p.Reason)) {
			return rejected, nil
		}
	}
	if p == nil || p.Pod == nil {
		return p, nil
	}
	switch p.Reason {
	case v1alpha2.ReasonNotMounted, v1alpha2.ReasonPodsFailing:
		if certificate := c.certificateProblem(ctx, s); certificate != nil {
			return certificate, nil
		}
	case v1alpha2.ReasonBrokerOffline:
		return c.whyOffline(ctx, s, p), nil
	}
	return p, nil
}

// podsOf lists the pods of a Job.
func (c *Controller) podsOf(ctx context.Context, s *syncState) ([]corev1.Pod, error) {
	all, err := c.listPods(ctx, s.mc, resources.PodSelector(s.mc))
	var pods []corev1.Pod
	for _, pod := range all {
		if metav1.IsControlledBy(&pod, s.job) {
			pods = append(pods, pod)
		}
	}
	return pods, err
}

// dryRunPod creates a pod of the Job as a dry run and returns the error of the API
// server. The server runs all checks and admission plugins and then drops the pod.
func (c *Controller) dryRunPod(ctx context.Context, s *syncState) error {
	template := s.job.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName, pod.Namespace = s.job.Name+"-", s.job.Namespace
	_, err := c.kube.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager})
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
