package diagnosis

import (
	"errors"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// OfRejectedPods returns why the Job controller can't create pods, given the error of a
// dry run of one of them. It returns nil where the error does not explain it.
func OfRejectedPods(job *batchv1.Job, err error) *Problem {
	var status apierrors.APIStatus
	switch {
	case err == nil || !errors.As(err, &status) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err):
		return nil
	}
	missing := int(resources.Parallelism(job) - job.Status.Active - job.Status.Succeeded)
	text := resources.Quote(err.Error())
	switch {
	case strings.Contains(err.Error(), "quota"):
		return &Problem{Reason: v1alpha2.ReasonQuotaExceeded, Text: messages.QuotaExceeded(missing, text)}
	case strings.Contains(err.Error(), `cannot create resource "pods"`):
		return nil // this controller lacks the right, but the Job controller has it
	default:
		return &Problem{Reason: v1alpha2.ReasonPodsRejected, Text: messages.PodsRejected(missing, text)}
	}
}

// OfCertificate checks the Secret with the certificate of a user; a nil Secret does not exist.
func OfCertificate(name, cluster string, secret *corev1.Secret) *Problem {
	invalid := func(what string) *Problem {
		return &Problem{Reason: v1alpha2.ReasonCertificateInvalid, Text: messages.CertificateInvalid(name, what)}
	}
	if secret == nil {
		return invalid(messages.CertificateSecretMissing(plan.FileCertificate))
	}
	text, ok := secret.Data[plan.FileCertificate]
	if !ok {
		return invalid(messages.CertificateKeyMissing(plan.FileCertificate))
	}
	if _, err := fluxconfig.ParseCertificate(text, cluster); err != nil {
		return invalid(messages.CertificateUnreadable(err))
	}
	return nil
}

// OfNetworkPolicies returns a broker that is offline as a problem of network policies, nil
// when no policy blocks it.
func OfNetworkPolicies(p *Problem, policies []networkingv1.NetworkPolicy) *Problem {
	text := blockedConnections(policies, p.Pod)
	if text == "" {
		return nil
	}
	return &Problem{Reason: v1alpha2.ReasonNetworkPolicy, Text: p.Text + ". " + text, Pod: p.Pod, Others: p.Others}
}

// WithJoinCause adds the agent's explanation of why the broker of a pod is offline.
func WithJoinCause(p *Problem, cause plan.Cause) *Problem {
	reason := v1alpha2.ReasonBrokerOffline
	switch cause.Kind {
	case plan.CauseName:
		reason = v1alpha2.ReasonNameNotResolved
	case plan.CauseNetwork:
		reason = v1alpha2.ReasonLeadUnreachable
	}
	return &Problem{Reason: reason, Text: messages.AgentReports(p.Text, resources.Quote(cause.Message)), Pod: p.Pod, Others: p.Others}
}
