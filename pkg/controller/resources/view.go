package resources

import (
	"cmp"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// view returns spec.flux.container with its defaults, even if it is not set.
func view(mc *v1alpha2.MiniCluster) v1alpha2.FluxContainer {
	var v v1alpha2.FluxContainer
	if mc.Spec.Flux != nil && mc.Spec.Flux.Container != nil {
		v = *mc.Spec.Flux.Container
	}
	v.Image = cmp.Or(v.Image, v1alpha2.DefaultViewImage)
	v.MountPath = cmp.Or(v.MountPath, v1alpha2.DefaultMountPath)
	v.Name = cmp.Or(v.Name, v1alpha2.DefaultViewName)
	return v
}

// bringsView reports whether Flux comes from the image of a view.
func bringsView(mc *v1alpha2.MiniCluster, f Fixed) bool {
	return f.Layout == fluxconfig.LayoutView && !view(mc).Disable
}

// mountsView reports whether the view's image is mounted instead of being copied.
func mountsView(mc *v1alpha2.MiniCluster, f Fixed, env Environment) bool {
	return env.mountsImages() && bringsView(mc, f)
}

// needsViewInit reports whether an init container provides the view. Where the view's
// image is a volume, the agents of the other containers make the links into it. A
// container without an agent may use the view as soon as it starts.
func needsViewInit(mc *v1alpha2.MiniCluster, f Fixed, env Environment) bool {
	if !bringsView(mc, f) {
		return false
	}
	for i := range mc.Spec.Containers {
		if roleOf(mc, i) == roleUnwrapped {
			return true
		}
	}
	return !env.mountsImages()
}

// viewInit returns the init container that fills the view's directory. It runs the agent in the image of the view,
// which copies Flux from there. If the image is a volume, the agent creates links to it, and the container does not
// use the image of the view.
func viewInit(mc *v1alpha2.MiniCluster, f Fixed, env Environment, resources corev1.ResourceRequirements) corev1.Container {
	v := view(mc)
	out := corev1.Container{
		Name:            v.Name,
		Image:           v.Image,
		ImagePullPolicy: viewPullPolicy(&v),
		Command:         []string{plan.AgentPath, "view"},
		WorkingDir:      v.WorkingDir,
		Resources:       resources,
		SecurityContext: v.SecurityContext.DeepCopy(),
		VolumeMounts: []corev1.VolumeMount{
			{Name: sharedVolume, MountPath: plan.SharedDir},
			configMount(),
			{Name: v.Name, MountPath: v.MountPath},
		},
	}
	if v.Resources != nil {
		out.Resources = *v.Resources.DeepCopy()
	}
	if mountsView(mc, f, env) {
		out.Image, out.ImagePullPolicy = agentImage(env), env.Agent.PullPolicy
		out.Command = []string{plan.AgentInImage, "view", "--image", plan.ViewImageDir}
		out.VolumeMounts = append(out.VolumeMounts, viewImageMount())
	}
	switch {
	case out.SecurityContext != nil:
	case mountsView(mc, f, env):
		out.SecurityContext = restricted(mc, numericUser)
	case nonRoot(mc):
		out.SecurityContext = restricted(mc, unknownUser)
	}
	return out
}

// nonRoot reports whether the user requires all containers to run as non-root. The image of a view runs as root by
// default, so a kubelet or Pod Security would reject the pod.
func nonRoot(mc *v1alpha2.MiniCluster) bool {
	if pod := mc.Spec.Pod; pod != nil && pod.SecurityContext != nil && ptr.Deref(pod.SecurityContext.RunAsNonRoot, false) {
		return true
	}
	i := mc.FluxContainerIndex()
	return i >= 0 && mc.Spec.Containers[i].SecurityContext != nil && ptr.Deref(mc.Spec.Containers[i].SecurityContext.RunAsNonRoot, false)
}

func viewPullPolicy(v *v1alpha2.FluxContainer) corev1.PullPolicy {
	if v.PullAlways {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// viewVolumes returns the volumes of the view's directory and, if it is mounted, its image.
func viewVolumes(mc *v1alpha2.MiniCluster, f Fixed, env Environment) []corev1.Volume {
	if f.Layout != fluxconfig.LayoutView {
		return nil
	}
	v := view(mc)
	volumes := []corev1.Volume{emptyDir(v.Name, "")}
	if mountsView(mc, f, env) {
		volumes = append(volumes, corev1.Volume{Name: viewImageVolume, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: v.Image, PullPolicy: viewPullPolicy(&v)},
		}})
	}
	return volumes
}

// viewMounts returns the mounts of Flux and the broker's socket in a container of the view layout.
func viewMounts(mc *v1alpha2.MiniCluster, f Fixed, env Environment, taken func(string) bool) []corev1.VolumeMount {
	v := view(mc)
	mounts := []corev1.VolumeMount{{Name: v.Name, MountPath: v.MountPath}}
	if bringsView(mc, f) && !taken(plan.SoftwareDir) && path.Clean(v.MountPath) != plan.SoftwareDir {
		mounts = append(mounts, corev1.VolumeMount{Name: v.Name, MountPath: plan.SoftwareDir, SubPath: plan.SoftwareSubPath})
	}
	if mountsView(mc, f, env) {
		mounts = append(mounts, viewImageMount())
	}
	return mounts
}

func viewImageMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: viewImageVolume, MountPath: plan.ViewImageDir, ReadOnly: true}
}
