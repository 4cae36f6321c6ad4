package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// buildContainer makes one container of a MiniCluster's pods. The one that runs
// Flux has the MiniCluster's name, and the brokers' files.
func buildContainer(mc *v1alpha2.MiniCluster, index int, flux bool) corev1.Container {
	in := &mc.Spec.Containers[index]
	out := corev1.Container{
		Name:            in.Name,
		Image:           in.Image,
		ImagePullPolicy: pullPolicy(in),
		Command:         command(in),
		WorkingDir:      in.WorkingDir,
		Env:             environment(in),
		SecurityContext: securityContext(in.SecurityContext),
	}
	if in.Resources != nil {
		out.Resources = *in.Resources.DeepCopy()
	}
	for _, port := range in.Ports {
		out.Ports = append(out.Ports, corev1.ContainerPort{ContainerPort: port, Protocol: corev1.ProtocolTCP})
	}
	if flux {
		out.Name = mc.Name
		out.VolumeMounts = []corev1.VolumeMount{
			{Name: configVolume, MountPath: configMountPath, ReadOnly: true},
			{Name: curveVolume, MountPath: curveMountPath, ReadOnly: true},
		}
	}
	return out
}

// command runs what the user wrote in a shell of its own; without a command the
// image's entrypoint runs.
func command(c *v1alpha2.MiniClusterContainer) []string {
	if c.Command == "" {
		return nil
	}
	return []string{"/bin/sh", "-c", c.Command}
}

func pullPolicy(c *v1alpha2.MiniClusterContainer) corev1.PullPolicy {
	switch {
	case c.PullAlways:
		return corev1.PullAlways
	case c.ImagePullPolicy != "":
		return c.ImagePullPolicy
	default:
		return corev1.PullIfNotPresent
	}
}

// environment lists variables in the order of their names, so that the same spec
// always makes the same pods.
func environment(c *v1alpha2.MiniClusterContainer) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		env = append(env, corev1.EnvVar{Name: name, Value: c.Environment[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		key := c.Secrets[name]
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key,
		}}})
	}
	return env
}

// securityContext adds the capabilities of v1alpha1's own field to Kubernetes'.
func securityContext(in *v1alpha2.SecurityContext) *corev1.SecurityContext {
	if in == nil {
		return nil
	}
	out := in.SecurityContext.DeepCopy()
	if len(in.AddCapabilities) > 0 {
		if out.Capabilities == nil {
			out.Capabilities = &corev1.Capabilities{}
		}
		out.Capabilities.Add = append(out.Capabilities.Add, in.AddCapabilities...)
	}
	return out
}
