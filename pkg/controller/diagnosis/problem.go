package diagnosis

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
)

// Problem describes why a cluster does not become ready.
type Problem struct {
	// Reason is the reason of the conditions Ready and Progressing.
	Reason string
	// Text says which pod has which problem, and how to solve it.
	Text string
	// Pod has the problem; nil if it does not concern a pod.
	Pod *corev1.Pod
	// Others is the number of further pods with the same problem.
	Others int
	// NodeComing: a node autoscaler provides a node for the pod, so the user does not have to act.
	NodeComing bool
}

// Message returns the text, with the number of further pods that have the same problem.
func (p *Problem) Message() string {
	return messages.MorePods(p.Text, p.Others, p.Reason)
}

// Equal reports whether two problems have the same reason and message.
func (p *Problem) Equal(other *Problem) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Reason == other.Reason && p.Message() == other.Message()
}

// Actionable reports whether the user has to act to solve a problem.
func (p *Problem) Actionable() bool {
	return Severity(p.Reason) > Severity(v1alpha2.ReasonPulling) && !p.NodeComing
}

// Severity orders problems: a problem that the user has to solve is more severe than one that may be its consequence.
// It is negative for reasons that are not problems.
func Severity(reason string) int {
	order := []string{
		v1alpha2.ReasonNotReady,
		v1alpha2.ReasonPulling,
		v1alpha2.ReasonBrokerOffline,
		v1alpha2.ReasonLeadUnreachable,
		v1alpha2.ReasonNameNotResolved,
		v1alpha2.ReasonNetworkPolicy,
		v1alpha2.ReasonNotMounted,
		v1alpha2.ReasonUnschedulable,
		v1alpha2.ReasonPodsFailing,
		v1alpha2.ReasonPodsRejected,
		v1alpha2.ReasonQuotaExceeded,
		v1alpha2.ReasonCertificateInvalid,
		v1alpha2.ReasonContainerNotStarted,
		v1alpha2.ReasonImagePullFailed,
		v1alpha2.ReasonNodeLost,
	}
	return slices.Index(order, reason)
}
