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

// countedExits are exit codes that are not the application's: the pod was stopped or
// killed, or the agent could not do its work. In ascending order, as Kubernetes wants
// them.
func countedExits() []int32 {
	return []int32{ExitKilled, plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker, plan.ExitHook}
}

// defaultBackoffLimit is far above the number of times that a rank of a long-lived cluster is lost.
const defaultBackoffLimit int32 = 100

// defaultContainerAnnotation names the container that kubectl picks.
const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

// BuildJob makes the Indexed Job of a MiniCluster at a size. It expects defaults
// to be set.
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
			// The work is done when the lead broker's program is: followers never
			// end by themselves.
			SuccessPolicy: &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: new("0")}}},
			// A rank is recreated only when its predecessor has really gone: two
			// brokers of one rank would fight over it.
			PodReplacementPolicy: new(batchv1.Failed),
			PodFailurePolicy:     podFailurePolicy(mc),
			Template: corev1.PodTemplateSpec{
				Spec: buildPodSpec(mc, f, env),
			},
		},
	}
	setBackoffLimits(mc, env, &job.Spec)
	job.Spec.Template.Labels = podLabels(mc, f)
	job.Spec.Template.Annotations = podAnnotations(mc)
	if d := mc.Spec.DeadlineSeconds; d != nil && *d > 0 {
		job.Spec.ActiveDeadlineSeconds = new(*d)
	}
	return job, nil
}

// Annotations that ask autoscalers of nodes not to move a pod for the sake of a
// tighter packing: a lead that is moved ends the jobs that run, a follower those that
// run on it.
const (
	// of the Kubernetes cluster autoscaler
	safeToEvictAnnotation = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	// of Karpenter
	doNotDisruptAnnotation = "karpenter.sh/do-not-disrupt"
)

// podAnnotations tell kubectl which container logs and exec are about, and autoscalers
// of nodes to leave the pods where they are. The user's own take precedence.
func podAnnotations(mc *v1alpha2.MiniCluster) map[string]string {
	annotations := map[string]string{
		defaultContainerAnnotation: mc.Name,
		safeToEvictAnnotation:      "false",
		doNotDisruptAnnotation:     "true",
	}
	if mc.Spec.Pod != nil {
		maps.Copy(annotations, mc.Spec.Pod.Annotations)
	}
	return annotations
}

// setBackoffLimits sets how many failed pods a Job tolerates.
//
// After a pod has failed, the Job controller delays the next one, and the delay doubles with each failure. With a limit
// per index (KEP-3850) the delay is per index, too, so that a rank that fails delays neither the others nor growth. A
// limit for the whole Job would count the pods that a long-lived cluster loses, however many ranks it has, so there is
// one only where the user sets it, and where there can be no limit per index: on servers that do not know it, and where
// containers restart in place.
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

// podFailurePolicy makes a failing application fail the Job at once, while pods
// that are lost or stopped are replaced. Where the user decided about failures, with
// a backoffLimit or a restart policy, only disruptions are left: nobody's limit is
// about nodes that are drained. Kubernetes allows no policy where containers are
// restarted.
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
