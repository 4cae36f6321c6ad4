package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/pkg/validation"
)

// checkSpec checks the document itself, and whether the controller has seen it.
func checkSpec(mc *v1alpha2.MiniCluster) []finding {
	const check = "document"
	checked := mc.DeepCopy()
	v1alpha2.SetDefaults(checked)
	var findings []finding
	for _, err := range validation.ValidateMiniCluster(checked) {
		findings = append(findings, problem(check, "%v", err))
	}
	if len(findings) == 0 {
		findings = append(findings, good(check, "the spec is valid"))
	}
	if mc.Status.ObservedGeneration < mc.Generation {
		seen := fmt.Sprintf("generation %d of the MiniCluster (the last was %d)", mc.Generation, mc.Status.ObservedGeneration)
		if mc.Status.ObservedGeneration <= 0 {
			seen = "the MiniCluster"
		}
		findings = append(findings, problem("controller", "the controller has not seen %s: it does not run, or does not watch this namespace", seen))
	}
	for _, c := range mc.Status.Conditions {
		if isProblem(c) {
			findings = append(findings, problem(c.Type, "%s: %s", c.Reason, c.Message))
		}
	}
	return findings
}

// checkCertificate checks a certificate that the user made.
func (s *session) checkCertificate(ctx context.Context, mc *v1alpha2.MiniCluster) finding {
	const check = "certificate"
	name := resources.CertificateSecretName(mc)
	if name == resources.SecretName(mc) {
		return good(check, "the controller makes it")
	}
	secret, err := s.kube.CoreV1().Secrets(mc.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		secret, err = nil, nil
	}
	if err != nil {
		return unknown(check, err)
	}
	if p := diagnosis.OfCertificate(name, mc.Name, secret); p != nil {
		return problem(check, "%s", p.Message())
	}
	return good(check, "Secret %s has it", name)
}

// checkPods finds out what keeps pods from being ready.
func (s *session) checkPods(ctx context.Context, mc *v1alpha2.MiniCluster) []finding {
	const check = "pods"
	job, err := s.kube.BatchV1().Jobs(mc.Namespace).Get(ctx, resources.JobName(mc), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && mc.Status.Finished():
		return []finding{good(check, "the MiniCluster has finished and its Job is gone")}
	case apierrors.IsNotFound(err) && stopped(mc):
		return []finding{good(check, "there are none, because the MiniCluster hibernates: see `kubectl minicluster resume %s`", mc.Name)}
	case apierrors.IsNotFound(err):
		return []finding{problem(check, "the Job %s does not exist", resources.JobName(mc))}
	case err != nil:
		return []finding{unknown(check, err)}
	}
	pods, err := s.pods(ctx, mc)
	if err != nil {
		return []finding{unknown(check, err)}
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, job) })
	if end := resources.FailedCondition(job); end != nil {
		failure := diagnosis.NewFailure(end)
		for i := range pods {
			failure.Add(&pods[i])
		}
		return []finding{problem(check, "the Job failed: %s %s", end.Message, failure.Cause(mc.Name))}
	}
	if !resources.LacksPods(job) {
		return []finding{good(check, "%d of %d are ready", mc.Status.ReadySize, resources.Parallelism(job))}
	}
	if resources.LacksPodObjects(job) {
		found, err := s.rejection(ctx, job, pods)
		switch {
		case found != nil:
			return []finding{problem("admission", "%s: %s", found.Reason, found.Message())}
		case err != nil:
			return []finding{unknown("admission", err)}
		}
	}
	examined := diagnosis.NewPods(mc.Name, resources.Parallelism(job), time.Now())
	for i := range pods {
		examined.Add(&pods[i])
	}
	p := examined.Worst()
	if p == nil {
		return []finding{good(check, "%d of %d are ready; nothing is wrong with the others", mc.Status.ReadySize, resources.Parallelism(job))}
	}
	if p.Reason != v1alpha2.ReasonBrokerOffline {
		return []finding{problem(check, "%s: %s", p.Reason, p.Message())}
	}
	return s.checkOffline(ctx, mc, p)
}

// rejection finds out why the Job controller can't create pods: by a dry run, or from the events of the Job where the
// user may not create pods. A policy may reject the lead alone, with which the Job controller begins.
func (s *session) rejection(ctx context.Context, job *batchv1.Job, pods []corev1.Pod) (*diagnosis.Problem, error) {
	template := job.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName = job.Name + "-"
	isLead := func(p corev1.Pod) bool {
		index, ok := resources.PodIndex(&p)
		return ok && index == 0 && !resources.PodEnded(&p)
	}
	if !slices.ContainsFunc(pods, isLead) {
		pod = resources.BuildLeadPod(job)
	}
	_, err := s.kube.CoreV1().Pods(job.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		return nil, nil //nolint:nilnil // nothing rejects the pods
	}
	if p := diagnosis.OfRejectedPods(job, err); p != nil {
		return p, nil
	}
	events, eventErr := s.kube.CoreV1().Events(job.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(job.UID), "reason": "FailedCreate"}.String(),
	})
	if eventErr != nil {
		return nil, errors.Join(err, eventErr)
	}
	if len(events.Items) == 0 {
		return nil, err
	}
	newest := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	text := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Message: newest.Message}}
	return diagnosis.OfRejectedPods(job, text), nil
}

// checkOffline finds out why a broker that runs is not online: network policies, DNS, or what its agent reports.
func (s *session) checkOffline(ctx context.Context, mc *v1alpha2.MiniCluster, p *diagnosis.Problem) []finding {
	policies, err := s.kube.NetworkingV1().NetworkPolicies(mc.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []finding{problem("pods", "%s: %s", p.Reason, p.Message()), unknown("network", err)}
	}
	if blocked := diagnosis.OfNetworkPolicies(p, policies.Items); blocked != nil {
		return []finding{problem("network", "%s: %s", blocked.Reason, blocked.Message())}
	}
	port := strconv.Itoa(int(fluxconfig.HTTPPort(mc)))
	text, err := s.kube.CoreV1().Pods(mc.Namespace).ProxyGet("http", p.Pod.Name, port, plan.PathCause, nil).DoRaw(ctx)
	if err != nil {
		return []finding{problem("pods", "%s: %s", p.Reason, p.Message()), unknown("agent", err)}
	}
	var cause plan.Cause
	if err := json.Unmarshal(text, &cause); err != nil {
		return []finding{problem("pods", "%s: %s", p.Reason, p.Message()), unknown("agent", err)}
	}
	joined := diagnosis.WithJoinCause(p, cause)
	return []finding{problem("pods", "%s: %s", joined.Reason, joined.Message())}
}

// checkAutoscalers checks the autoscalers of a MiniCluster and the metrics APIs that they read.
func (s *session) checkAutoscalers(ctx context.Context, mc *v1alpha2.MiniCluster) []finding {
	const check = "autoscaler"
	all := s.autoscalers(ctx)
	if all.err != nil {
		return []finding{unknown(check, all.err)}
	}
	found := all.of(mc)
	var findings []finding
	if len(found) > 1 {
		findings = append(findings, problem(check, "%d autoscalers change the size of MiniCluster %s: keep one", len(found), mc.Name))
	}
	for i := range found {
		findings = append(findings, s.checkAutoscaler(&found[i])...)
	}
	return findings
}

func (s *session) checkAutoscaler(hpa *autoscalingv2.HorizontalPodAutoscaler) []finding {
	const check = "autoscaler"
	var findings []finding
	for _, c := range hpa.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Type != autoscalingv2.ScalingLimited {
			findings = append(findings, problem(check, "%s does not scale: %s: %s", hpa.Name, c.Reason, c.Message))
		}
	}
	for _, metric := range hpa.Spec.Metrics {
		group := metricGroup(metric.Type)
		if err := s.checkGroup(group); err != nil {
			findings = append(findings, problem(check, "%s reads %s, %v", hpa.Name, group, err))
		}
	}
	if len(findings) == 0 {
		findings = append(findings, good(check, "%s scales", hpa.Name))
	}
	return findings
}

// metricGroup returns the API group that serves metrics of a type.
func metricGroup(t autoscalingv2.MetricSourceType) string {
	switch t {
	case autoscalingv2.ExternalMetricSourceType:
		return "external.metrics.k8s.io"
	case autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType:
		return "custom.metrics.k8s.io"
	default:
		return "metrics.k8s.io"
	}
}

// checkGroup returns an error if the server does not serve an API group.
func (s *session) checkGroup(group string) error {
	groups, err := s.kube.Discovery().ServerGroups()
	if err != nil {
		return fmt.Errorf("whose server can't be checked: %w", err)
	}
	for _, g := range groups.Groups {
		if g.Name == group {
			return nil
		}
	}
	if group == "metrics.k8s.io" {
		return errors.New("which no server serves: install metrics-server")
	}
	return errors.New("which no server serves: install the metrics API server (kubectl apply -k manifests/metrics)")
}
