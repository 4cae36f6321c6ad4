package resources

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// BuildServicesPod builds the pod of spec.services, which runs beside the cluster and has a host name in its domain.
// No selector for pods of the cluster selects it.
func BuildServicesPod(mc *v1alpha2.MiniCluster, f Fixed) *corev1.Pod {
	settings := mc.Spec.Pod
	if settings == nil {
		settings = &v1alpha2.PodSpec{}
	}
	pod := &corev1.Pod{
		ObjectMeta: objectMeta(mc, ServicesPodName(mc)),
		Spec: corev1.PodSpec{
			Hostname:  ServicesPodName(mc),
			Subdomain: f.Headless,
			// A container that succeeds is not restarted.
			RestartPolicy:                corev1.RestartPolicyOnFailure,
			ImagePullSecrets:             pullSecretsOf(mc.Spec.Services),
			ServiceAccountName:           settings.ServiceAccountName,
			AutomountServiceAccountToken: settings.AutomountServiceAccountToken,
			SchedulerName:                settings.SchedulerName,
			PriorityClassName:            settings.PriorityClassName,
			EnableServiceLinks:           new(false),
			DNSPolicy:                    settings.DNSPolicy,
			DNSConfig:                    settings.DNSConfig.DeepCopy(),
			NodeSelector:                 maps.Clone(settings.NodeSelector),
			Tolerations:                  slices.Clone(settings.Tolerations),
			SecurityContext:              settings.SecurityContext.DeepCopy(),
			Volumes:                      userVolumes(mc, mc.Spec.Services),
		},
	}
	if settings.RuntimeClassName != "" {
		pod.Spec.RuntimeClassName = new(settings.RuntimeClassName)
	}
	pod.Labels = servicesPodLabels(mc, f)
	pod.Annotations = evictionAnnotations(mc)
	if settings.StopSignal != "" {
		pod.Spec.OS = &corev1.PodOS{Name: corev1.Linux}
	}
	for i := range mc.Spec.Services {
		container := serviceContainer(&mc.Spec.Services[i])
		setStopSignal(&container, mc.Spec.Pod, "")
		pod.Spec.Containers = append(pod.Spec.Containers, container)
	}
	return pod
}

// servicesPodLabels returns the user's labels, which apply to both kinds of pods, without those that select pods of
// the cluster.
func servicesPodLabels(mc *v1alpha2.MiniCluster, f Fixed) map[string]string {
	labels := map[string]string{}
	if mc.Spec.Pod != nil {
		maps.Copy(labels, mc.Spec.Pod.Labels)
	}
	delete(labels, v1alpha2.LabelHPASelector)
	maps.Copy(labels, labelsOf(ServicesPodName(mc)))
	labels[v1alpha2.LabelHeadlessService] = f.Headless
	return labels
}

// serviceContainer builds a container of the services pod. A shell runs its command, if it has one.
func serviceContainer(in *v1alpha2.MiniClusterContainer) corev1.Container {
	out := baseContainer(in)
	if in.Command != "" {
		out.Command = []string{"/bin/sh", "-c", in.Command}
	}
	out.VolumeMounts = userMounts(in)
	return out
}
