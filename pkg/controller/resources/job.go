package resources

import (
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ExitKilled is the exit code of a container that was killed (128 + signal), for example because it is out of memory.
const ExitKilled int32 = 137

// countedExits are exit codes that do not come from the application: the pod was stopped or killed, or the agent
// failed. Kubernetes requires ascending order.
func countedExits() []int32 {
	return []int32{ExitKilled, plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker, plan.ExitHook}
}

// defaultBackoffLimit is far above the number of times that a long-lived cluster loses a rank.
const defaultBackoffLimit int32 = 100

// defaultContainerAnnotation names the container that kubectl selects by default.
const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

// BuildJob builds the Indexed Job of a MiniCluster for a size. Defaults must be set.
func BuildJob(mc *v1alpha2.MiniCluster, f Fixed, env Environment, size int32) (*batchv1.Job, error) {
	hashes, err := specHash(mc)
	if err != nil {
		return nil, err
	}
	meta := objectMeta(mc, JobName(mc))
	labels := maps.Clone(mc.Spec.JobLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, meta.Labels)
	meta.Labels = labels
	meta.Annotations = map[string]string{}
	maps.Copy(meta.Annotations, mc.Spec.JobAnnotations)
	maps.Copy(meta.Annotations, f.annotations())
	meta.Annotations[v1alpha2.AnnotationAppliedSize] = FormatSize(size)
	meta.Annotations[v1alpha2.AnnotationAppliedGeneration] = FormatGeneration(mc.Generation)
	meta.Annotations[v1alpha2.AnnotationSpecHash] = hashes

	job := &batchv1.Job{
		ObjectMeta: meta,
		Spec: batchv1.JobSpec{
			CompletionMode: new(batchv1.IndexedCompletion),
			Parallelism:    new(size),
			Completions:    new(size),
			BackoffLimit:   mc.Spec.BackoffLimit,
			// The Job succeeds when the lead broker's program succeeds: followers never end by themselves.
			SuccessPolicy: &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: new("0")}}},
			// A rank is recreated only after its previous pod is gone. Two brokers of one rank would conflict.
			PodReplacementPolicy: new(batchv1.Failed),
			PodFailurePolicy:     podFailurePolicy(mc),
			Template: corev1.PodTemplateSpec{
				Spec: buildPodSpec(mc, f, env),
			},
		},
	}
	setBackoffLimits(mc, env, &job.Spec)
	addSidecarRules(mc, &job.Spec)
	job.Spec.Template.Labels = podLabels(mc, f)
	job.Spec.Template.Annotations = podAnnotations(mc)
	if d := mc.Spec.DeadlineSeconds; d != nil && *d > 0 {
		job.Spec.ActiveDeadlineSeconds = new(*d)
	}
	return job, nil
}

// Annotations that ask node autoscalers not to move a pod for consolidation: moving the lead ends all jobs, moving a
// follower ends the jobs on it.
const (
	// Kubernetes cluster autoscaler
	safeToEvictAnnotation = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	// Karpenter
	doNotDisruptAnnotation = "karpenter.sh/do-not-disrupt"
)

// podAnnotations returns annotations that select the container for kubectl logs and exec, and ask node autoscalers
// not to move the pods. The user's annotations take precedence.
func podAnnotations(mc *v1alpha2.MiniCluster) map[string]string {
	annotations := evictionAnnotations(mc)
	if _, set := annotations[defaultContainerAnnotation]; !set {
		annotations[defaultContainerAnnotation] = mc.Name
	}
	maps.Copy(annotations, leadAnnotations(mc))
	return annotations
}

// evictionAnnotations are the annotations of the user's pods, and those that ask
// autoscalers of nodes to leave a pod where it is. The services pod has them, too: the
// cluster depends on it.
func evictionAnnotations(mc *v1alpha2.MiniCluster) map[string]string {
	annotations := map[string]string{safeToEvictAnnotation: "false", doNotDisruptAnnotation: "true"}
	if mc.Spec.Pod != nil {
		maps.Copy(annotations, mc.Spec.Pod.Annotations)
	}
	return annotations
}

// EvictionAnnotations returns the annotations of a pod that ask node autoscalers to leave it where it is; with allow,
// the values that let them evict it. Annotations of the user do not change.
func EvictionAnnotations(mc *v1alpha2.MiniCluster, allow bool) map[string]any {
	annotations := map[string]any{safeToEvictAnnotation: "false", doNotDisruptAnnotation: "true"}
	if allow {
		annotations[safeToEvictAnnotation], annotations[doNotDisruptAnnotation] = "true", nil
	}
	if mc.Spec.Pod != nil {
		for key := range mc.Spec.Pod.Annotations {
			delete(annotations, key)
		}
	}
	return annotations
}

// setBackoffLimits sets how many failed pods a Job tolerates.
//
// After a pod has failed, the Job controller delays the next one, and doubles the delay with each failure. With a
// limit per index (KEP-3850), the delay is also per index: a rank that fails delays neither the other ranks nor
// growth. A limit for the whole Job would count all pods that a long-lived cluster loses, at any size. Therefore
// there is one only if the user sets it, or if a limit per index is impossible: on servers that do not support it,
// and where containers restart in place.
func setBackoffLimits(mc *v1alpha2.MiniCluster, env Environment, job *batchv1.JobSpec) {
	limit := mc.Spec.BackoffLimit
	if limit == nil {
		limit = new(defaultBackoffLimit)
	}
	inPlace := restartPolicy(mc) != corev1.RestartPolicyNever
	if inPlace || !env.AtLeast(minorBackoffLimitPerIndex) {
		job.BackoffLimit = limit
	}
	if inPlace {
		return
	}
	job.BackoffLimitPerIndex = limit
	job.MaxFailedIndexes = new(int32(0))
}

// podFailurePolicy returns a policy that fails the Job at once when the application fails, and replaces pods that are
// lost or stopped. If the user sets backoffLimit or a restart policy, the policy only ignores disruptions: drained
// nodes must not count against the user's limit. Kubernetes allows no policy where containers restart.
func podFailurePolicy(mc *v1alpha2.MiniCluster) *batchv1.PodFailurePolicy {
	if restartPolicy(mc) != corev1.RestartPolicyNever {
		return nil
	}
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action: batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
			{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
		},
	}}}
	if mc.Spec.BackoffLimit != nil || (mc.Spec.Pod != nil && mc.Spec.Pod.RestartPolicy != "") {
		return policy
	}
	container := mc.Name
	policy.Rules = append(policy.Rules,
		batchv1.PodFailurePolicyRule{
			Action: batchv1.PodFailurePolicyActionCount,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: &container,
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values:        countedExits(),
			},
		},
		batchv1.PodFailurePolicyRule{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: &container,
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpNotIn,
				Values:        []int32{0},
			},
		},
	)
	return policy
}

// maxFailureRules is the number of rules that a podFailurePolicy may have.
const maxFailureRules = 20

// addSidecarRules ends the Job, and does not repeat the work, when a container beside Flux has failed in a pod whose
// Flux container has ended with 0: the rules before these are about all other exit codes of Flux. The controller then
// reports that the work is complete. The agent makes the sidecars that it runs end with 0, but not one that was killed.
//
// With completeWorkers, Flux also ends with 0 in the pods of followers, while the work continues.
func addSidecarRules(mc *v1alpha2.MiniCluster, job *batchv1.JobSpec) {
	policy := job.PodFailurePolicy
	if policy == nil || len(policy.Rules) == 1 || (mc.Spec.Flux != nil && mc.Spec.Flux.CompleteWorkers) {
		return
	}
	for i := range job.Template.Spec.Containers {
		name := job.Template.Spec.Containers[i].Name
		if name == mc.Name || len(policy.Rules) == maxFailureRules {
			continue
		}
		policy.Rules = append(policy.Rules, batchv1.PodFailurePolicyRule{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: &name,
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpNotIn,
				Values:        []int32{0},
			},
		})
	}
}
