package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// look finds out what is wrong with a cluster that has failed, or that lacks pods for
// longer than usual. Nothing depends on it but what is reported, so that what it can't
// find out is no failure of the sync. A cluster that is well costs no request.
func (c *Controller) look(ctx context.Context, s *syncState) {
	end := resources.FailedCondition(s.job)
	switch {
	case s.job == nil || s.mc.Status.Finished() || !resources.LacksPods(s.job):
		c.slow.forget(s.key)
	case end != nil:
		c.slow.forget(s.key)
		pods, err := c.podsOf(ctx, s)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Which pod made the Job fail is not known")
			return
		}
		s.seen.cause = failureCause(end, pods, s.mc.Name)
	case c.slow.after > 0:
		c.lookForProblem(ctx, s)
	}
}

// lookForProblem looks at the pods when it is time to, and keeps what was found until
// the next time.
func (c *Controller) lookForProblem(ctx context.Context, s *syncState) {
	before := meta.FindStatusCondition(s.mc.Status.Conditions, v1alpha2.ConditionProgressing)
	known := before != nil && weight(before.Reason) > weight(v1alpha2.ReasonPodsNotReady)
	wait, last := c.slow.due(s.key, s.job.UID, resources.Parallelism(s.job), known)
	s.seen.problem = last
	if wait == 0 {
		found, err := c.findProblem(ctx, s)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Why the cluster is not ready is not known")
			found = last
		}
		s.seen.problem = found
		wait = c.slow.looked(s.key, found)
	}
	c.queue.AddAfter(s.key, wait)
}

// findProblem asks for the pods, and for more where they don't tell.
func (c *Controller) findProblem(ctx context.Context, s *syncState) (*problem, error) {
	pods, err := c.podsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	e := examiner{flux: s.mc.Name, size: resources.Parallelism(s.job), now: c.clock.Now()}
	p := e.worst(pods)
	if s.job.Status.Active+resources.Terminating(s.job)+s.job.Status.Succeeded < e.size {
		if refused := c.refusal(ctx, s); refused != nil && (p == nil || weight(refused.reason) > weight(p.reason)) {
			return refused, nil
		}
	}
	if p == nil || p.pod == nil {
		return p, nil
	}
	switch p.reason {
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

// refusal finds out why the Job gets no pods, in the words of who refuses them: it makes
// one for trial, which the API server checks in every way and then drops.
func (c *Controller) refusal(ctx context.Context, s *syncState) *problem {
	template := s.job.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName, pod.Namespace = s.job.Name+"-", s.job.Namespace
	_, err := c.kube.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager})
	var status apierrors.APIStatus
	switch {
	case err == nil || !errors.As(err, &status) || isGoing(err):
		return nil
	case !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err):
		klog.FromContext(ctx).V(2).Info("Why pods are not made is not known", "reason", err.Error())
		return nil
	}
	lack := fmt.Sprintf("%d pods can't be made: %s", resources.Parallelism(s.job)-s.job.Status.Active-s.job.Status.Succeeded, sentence(err.Error()))
	switch {
	case strings.Contains(err.Error(), "quota"):
		return &problem{reason: v1alpha2.ReasonQuotaExceeded, text: lack + "; have the quota raised, ask for less in resources, or lower spec.size"}
	case strings.Contains(err.Error(), `cannot create resource "pods"`):
		return nil // it is our right that is missing, not the Job controller's
	default:
		return &problem{reason: v1alpha2.ReasonPodsRefused, text: lack + "; correct what the message names, in the spec or in the namespace"}
	}
}

// certificateProblem says what is wrong with the user's own certificate, nil when there
// is none or nothing is. Brokers tell no more than that theirs is invalid.
func (c *Controller) certificateProblem(ctx context.Context, s *syncState) *problem {
	name := resources.CertificateSecretName(s.mc)
	if name == resources.SecretName(s.mc) || !resources.CreatedByController(s.job) {
		return nil
	}
	is := func(what string) *problem {
		return &problem{reason: v1alpha2.ReasonCertificateInvalid, text: fmt.Sprintf("Secret %q, which spec.flux.curveCertSecret names, %s", name, what)}
	}
	secret, err := c.kube.CoreV1().Secrets(s.mc.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return is("does not exist; make it, with the certificate under the key " + plan.FileCertificate)
	}
	if err != nil {
		return nil
	}
	text, ok := secret.Data[plan.FileCertificate]
	if !ok {
		return is("has no key " + plan.FileCertificate)
	}
	if _, err := fluxconfig.ParseCertificate(text, s.mc.Name); err != nil {
		return is(fmt.Sprintf("holds no certificate that Flux takes: %v", err))
	}
	return nil
}

// whyOffline finds out why a broker that runs is not online.
func (c *Controller) whyOffline(ctx context.Context, s *syncState, p *problem) *problem {
	if certificate := c.certificateProblem(ctx, s); certificate != nil {
		return certificate
	}
	policies, err := c.kube.NetworkingV1().NetworkPolicies(s.mc.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Whether network policies keep brokers apart is not known", "reason", err.Error())
	} else if text := policyProblem(policies.Items, p.pod); text != "" {
		return &problem{reason: v1alpha2.ReasonNetworkPolicy, text: p.text + ". " + text, pod: p.pod, others: p.others}
	}
	if !resources.CreatedByController(s.job) {
		return p
	}
	cause, ok := c.agents.cause(ctx, p.pod.Status.PodIP, fluxconfig.HTTPPort(s.mc))
	if !ok {
		return p
	}
	reason := map[string]string{
		plan.CauseName:    v1alpha2.ReasonNameNotResolved,
		plan.CauseNetwork: v1alpha2.ReasonLeadUnreachable,
	}[cause.Kind]
	if reason == "" {
		reason = v1alpha2.ReasonBrokerOffline
	}
	return &problem{reason: reason, text: fmt.Sprintf("%s; its agent says: %s", p.text, sentence(cause.Message)), pod: p.pod, others: p.others}
}
