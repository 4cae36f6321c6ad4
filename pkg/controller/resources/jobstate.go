package resources

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// ControlPort returns the port of the agent of a Job's lead, 0 if the pods have none because another controller
// created the Job.
func ControlPort(job *batchv1.Job) int32 {
	for _, container := range job.Spec.Template.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == agentPort {
				return control.Port(port.ContainerPort)
			}
		}
	}
	return 0
}

// FailedCondition returns the condition Failed of a Job; nil if the Job has not failed.
func FailedCondition(job *batchv1.Job) *batchv1.JobCondition {
	if job == nil {
		return nil
	}
	if end := FinishedCondition(job); end != nil && end.Type == batchv1.JobFailed {
		return end
	}
	return nil
}

// LacksPods reports whether a Job has fewer ready pods than it should have, or extra pods that do not terminate.
// Completed indexes do not count as missing.
func LacksPods(job *batchv1.Job) bool {
	if end := FinishedCondition(job); end != nil {
		return end.Type == batchv1.JobFailed
	}
	if Suspended(job) || job.DeletionTimestamp != nil || LeadCompleted(job) {
		return false
	}
	return ptr.Deref(job.Status.Ready, 0) < Parallelism(job)-job.Status.Succeeded || Terminating(job) > 0
}

// Suspended reports whether a Job is suspended, or will be.
func Suspended(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return job.Spec.Suspend != nil && *job.Spec.Suspend
}

// Terminating returns the number of terminating pods of a Job.
func Terminating(job *batchv1.Job) int32 {
	if job.Status.Terminating == nil {
		return 0
	}
	return *job.Status.Terminating
}

// PodCount returns the number of pods that a Job has or should have, without those that have ended.
func PodCount(job *batchv1.Job) int32 {
	return max(Parallelism(job), job.Status.Active+Terminating(job))
}

// MountsSecret reports whether the pods of a Job mount the controller's Secret. Jobs of earlier releases with a
// certificate of the user do not.
func MountsSecret(job *batchv1.Job, name string) bool {
	return slices.ContainsFunc(job.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return slices.Contains(secretsOf(&v), name) })
}

// JobSecretName returns the name of the Secret that was created for the pods of a Job. A Job that was restored with
// another MiniCluster of the same name keeps the Secret of its time. Without a Job it is SecretName.
func JobSecretName(mc *v1alpha2.MiniCluster, job *batchv1.Job) string {
	name := SecretName(mc)
	if job == nil || MountsSecret(job, name) {
		return name
	}
	for i := range job.Spec.Template.Spec.Volumes {
		volume := &job.Spec.Template.Spec.Volumes[i]
		if volume.Name != curveVolume {
			continue
		}
		for _, mounted := range secretsOf(volume) {
			if strings.HasPrefix(mounted, secretPrefix(mc)) {
				return mounted
			}
		}
	}
	return name
}

// secretsOf returns the names of the Secrets that a volume contains.
func secretsOf(v *corev1.Volume) []string {
	var names []string
	if v.Secret != nil {
		names = append(names, v.Secret.SecretName)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	}
	return names
}

// ForeignJobLayout returns the layout of a Job that flux-operator created: in the view layout, an init container
// copies Flux.
func ForeignJobLayout(job *batchv1.Job) fluxconfig.Layout {
	if len(job.Spec.Template.Spec.InitContainers) > 0 {
		return fluxconfig.LayoutView
	}
	return fluxconfig.LayoutSystem
}

// Parallelism returns the size of a Job; Kubernetes defaults it to 1.
func Parallelism(job *batchv1.Job) int32 {
	if job.Spec.Parallelism == nil {
		return 1
	}
	return *job.Spec.Parallelism
}

// Completions returns the number of indexes of a Job.
func Completions(job *batchv1.Job) int32 {
	if job.Spec.Completions == nil {
		return 1
	}
	return *job.Spec.Completions
}

// LeadCompleted reports whether index 0, the lead broker, has succeeded in a Job whose
// server knows no success policy.
func LeadCompleted(job *batchv1.Job) bool {
	if job.Spec.SuccessPolicy != nil {
		return false
	}
	first, _, _ := strings.Cut(job.Status.CompletedIndexes, ",")
	first, _, _ = strings.Cut(first, "-")
	return first == "0"
}

// FinishedCondition returns the condition that says how a Job ended, nil while it runs.
func FinishedCondition(job *batchv1.Job) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		condition := &job.Status.Conditions[i]
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) && condition.Status == corev1.ConditionTrue {
			return condition
		}
	}
	return nil
}

// CreatedByController reports whether this controller created a Job, as opposed to having adopted it.
func CreatedByController(job *batchv1.Job) bool {
	return job.Annotations[v1alpha2.AnnotationSpecHash] != ""
}

// LacksPodObjects reports whether fewer pods exist than the Job should have, which means that the Job controller
// cannot create them.
func LacksPodObjects(job *batchv1.Job) bool {
	return job.Status.Active+Terminating(job)+job.Status.Succeeded < Parallelism(job)
}

// AllReady reports whether all pods of a Job are ready.
func AllReady(job *batchv1.Job) bool {
	return ptr.Deref(job.Status.Ready, 0) >= Parallelism(job)
}

// LeadElsewhere reports whether the lead broker of a MiniCluster is in another cluster.
func LeadElsewhere(mc *v1alpha2.MiniCluster) bool {
	return mc.Spec.Flux != nil && mc.Spec.Flux.Bursting != nil && mc.Spec.Flux.Bursting.LeadBroker != nil
}
