package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
)

// dnsPort is the port of DNS servers.
const dnsPort int32 = 53

// blockedConnections describes the NetworkPolicies of a namespace that prevent connections between brokers, "" if
// none certainly does. A policy isolates the pods that it selects in the directions that it names, and all policies
// together allow what any of them allows (NetworkPolicy API). Rules that depend on labels of namespaces or on
// addresses, which are not known here, count as allowing.
func blockedConnections(policies []networkingv1.NetworkPolicy, pod *corev1.Pod) string {
	var in, out []networkingv1.NetworkPolicy
	for _, policy := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if isolates(policy, networkingv1.PolicyTypeIngress) {
			in = append(in, policy)
		}
		if isolates(policy, networkingv1.PolicyTypeEgress) {
			out = append(out, policy)
		}
	}
	broker := v1alpha2.DefaultBrokerPort
	var lacks []string
	if len(in) > 0 && !slices.ContainsFunc(in, func(p networkingv1.NetworkPolicy) bool { return allowsIn(p, pod, broker) }) {
		lacks = append(lacks, fmt.Sprintf("connections from the cluster's own pods to TCP port %d", broker))
	}
	if len(out) > 0 {
		if !slices.ContainsFunc(out, func(p networkingv1.NetworkPolicy) bool { return allowsOut(p, pod, broker) }) {
			lacks = append(lacks, fmt.Sprintf("connections to the cluster's own pods at TCP port %d", broker))
		}
		if !slices.ContainsFunc(out, allowsDNS) {
			lacks = append(lacks, fmt.Sprintf("DNS (port %d)", dnsPort))
		}
	}
	if len(lacks) == 0 {
		return ""
	}
	return messages.NetworkPolicies(policyNames(append(in, out...)), lacks, v1alpha2.LabelName, pod.Labels[v1alpha2.LabelName])
}

// OutsideIngress names the NetworkPolicies that isolate a pod from connections to a port, "" if none does, and reports
// whether it is certain that none of them allows a connection from another namespace.
func OutsideIngress(policies []networkingv1.NetworkPolicy, pod *corev1.Pod, port int32) (names string, certain bool) {
	var isolating []networkingv1.NetworkPolicy
	certain = true
	for _, policy := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil || !selector.Matches(labels.Set(pod.Labels)) || !isolates(policy, networkingv1.PolicyTypeIngress) {
			continue
		}
		isolating = append(isolating, policy)
		for _, rule := range policy.Spec.Ingress {
			if !includesPort(rule.Ports, corev1.ProtocolTCP, port) {
				continue
			}
			if len(rule.From) == 0 {
				return "", false // it allows all connections
			}
			certain = certain && !mayIncludeOutside(rule.From)
		}
	}
	return policyNames(isolating), certain && len(isolating) > 0
}

// mayIncludeOutside reports whether peers may include pods of another namespace.
func mayIncludeOutside(peers []networkingv1.NetworkPolicyPeer) bool {
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.NamespaceSelector != nil || peer.IPBlock != nil
	})
}

func policyNames(policies []networkingv1.NetworkPolicy) string {
	var names []string
	for i := range policies {
		names = append(names, fmt.Sprintf("%q", policies[i].Name))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// isolates reports whether a policy isolates pods in a direction. The API documentation defines the default for
// policies that name none.
func isolates(policy networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) > 0 {
		return slices.Contains(policy.Spec.PolicyTypes, direction)
	}
	return direction == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
}

func allowsIn(policy networkingv1.NetworkPolicy, pod *corev1.Pod, port int32) bool {
	return slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return includesPod(rule.From, pod) && includesPort(rule.Ports, corev1.ProtocolTCP, port)
	})
}

func allowsOut(policy networkingv1.NetworkPolicy, pod *corev1.Pod, port int32) bool {
	return slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return includesPod(rule.To, pod) && includesPort(rule.Ports, corev1.ProtocolTCP, port)
	})
}

// allowsDNS reports whether a policy allows DNS queries to any peer: the address of the DNS server is not known.
func allowsDNS(policy networkingv1.NetworkPolicy) bool {
	return slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return includesPort(rule.Ports, corev1.ProtocolUDP, dnsPort) || includesPort(rule.Ports, corev1.ProtocolTCP, dnsPort)
	})
}

// includesPod reports whether a list of peers includes pods like this one. An empty list includes all.
func includesPod(peers []networkingv1.NetworkPolicyPeer, pod *corev1.Pod) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.PodSelector == nil {
			return true
		}
		selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector)
		return err == nil && selector.Matches(labels.Set(pod.Labels))
	})
}

// includesPort reports whether a list of ports includes a port. An empty list includes all. A named port counts as
// included, since its number in other pods is not known.
func includesPort(ports []networkingv1.NetworkPolicyPort, protocol corev1.Protocol, number int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != protocol || p.Protocol == nil && protocol != corev1.ProtocolTCP {
			return false
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return true
		case p.EndPort != nil:
			return p.Port.IntVal <= number && number <= *p.EndPort
		default:
			return p.Port.IntVal == number
		}
	})
}
