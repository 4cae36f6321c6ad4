package resources

import (
	"path"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/pkg/validation"
)

// Names of the volumes that the controller adds to pods. The volume of the view has the name of its container.
const (
	sharedVolume    = validation.SharedVolume
	configVolume    = validation.ConfigVolume
	curveVolume     = validation.CurveVolume
	agentVolume     = validation.AgentVolume
	curveCopyVolume = validation.CurveCopyVolume
	viewImageVolume = validation.ViewImageVolume
	memoryVolume    = validation.MemoryVolume
	mungeVolume     = validation.MungeVolume
	stateVolume     = validation.StateVolume
)

// sharedMemory is the directory that MPI libraries exchange messages in.
const sharedMemory = "/dev/shm"

// Modes of files from Secrets. They belong to root, and to the group fsGroup of the pod,
// which all its processes have at their start.
const (
	modeOfGroup int32 = 0o440
	modeOfRoot  int32 = 0o400
)

// fluxVolumes returns the volumes that a pod needs to run Flux.
func fluxVolumes(mc *v1alpha2.MiniCluster, f Fixed, env Environment) []corev1.Volume {
	volumes := []corev1.Volume{
		emptyDir(sharedVolume, ""),
		{Name: configVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: ConfigMapName(mc)},
		}}},
		credentialsVolume(mc),
		// The agent copies the certificate, because Flux rejects one that a group can read.
		emptyDir(curveCopyVolume, corev1.StorageMediumMemory),
	}
	if env.mountsImages() {
		volumes = append(volumes, agentImageVolume(env))
	}
	volumes = append(volumes, viewVolumes(mc, f, env)...)
	if wantsMemory(mc) {
		// It has no size limit: its content already counts against the containers' memory limits.
		volumes = append(volumes, emptyDir(memoryVolume, corev1.StorageMediumMemory))
	}
	flux := mc.Spec.Flux
	if flux != nil && flux.MungeSecret != "" {
		volumes = append(volumes, corev1.Volume{Name: mungeVolume, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: flux.MungeSecret, DefaultMode: new(keyMode(mc))},
		}})
	}
	if flux != nil && flux.State != nil {
		volumes = append(volumes, claimVolume(stateVolume, flux.State.ClaimName))
	}
	return volumes
}

// keyMode returns the mode of files from Secrets: only root can read them if the agent is certainly root, as it must be
// if there are users. Otherwise the agent can read them as a member of the pod's group.
func keyMode(mc *v1alpha2.MiniCluster) int32 {
	if len(mc.Spec.Users) > 0 || runsAsRoot(mc) {
		return modeOfRoot
	}
	return modeOfGroup
}

// podSecurityContext is the user's, with a group where the agent needs one to read the files of Secrets. The files of
// volumes whose root directory has that group already are left alone.
func podSecurityContext(mc *v1alpha2.MiniCluster, env Environment) *corev1.PodSecurityContext {
	var s *corev1.PodSecurityContext
	if mc.Spec.Pod != nil {
		s = mc.Spec.Pod.SecurityContext.DeepCopy()
	}
	if keyMode(mc) != modeOfGroup || env.SecretGroup == 0 || (s != nil && s.FSGroup != nil) {
		return s
	}
	if s == nil {
		s = &corev1.PodSecurityContext{}
	}
	s.FSGroup = new(env.SecretGroup)
	if s.FSGroupChangePolicy == nil {
		s.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	}
	return s
}

// runsAsRoot reports whether the spec makes the Flux container run as root. If it says nothing, the image decides.
func runsAsRoot(mc *v1alpha2.MiniCluster) bool {
	if i := mc.FluxContainerIndex(); i >= 0 {
		if s := mc.Spec.Containers[i].SecurityContext; s != nil && s.RunAsUser != nil {
			return *s.RunAsUser == 0
		}
	}
	pod := mc.Spec.Pod
	return pod != nil && pod.SecurityContext != nil && pod.SecurityContext.RunAsUser != nil && *pod.SecurityContext.RunAsUser == 0
}

// credentialsVolume returns the volume with the certificate, the users' passwords if there are any, and the agent's
// certificates, but never the controller's. The CURVE certificate may come from a Secret of the user; the rest comes
// from the controller's.
func credentialsVolume(mc *v1alpha2.MiniCluster) corev1.Volume {
	key := keyMode(mc)
	items := map[string][]corev1.KeyToPath{
		CertificateSecretName(mc): {{Key: keyCertificate, Path: plan.FileCertificate, Mode: &key}},
	}
	own := func(file string, mode int32) {
		items[SecretName(mc)] = append(items[SecretName(mc)], corev1.KeyToPath{Key: file, Path: file, Mode: &mode})
	}
	if len(mc.Spec.Users) > 0 {
		own(plan.FilePasswords, key)
	}
	own(control.KeyCA, key)
	own(control.KeyServerCert, key)
	own(control.KeyServerKey, key)
	volume := corev1.Volume{Name: curveVolume}
	if len(items) == 1 {
		name := CertificateSecretName(mc)
		volume.Secret = &corev1.SecretVolumeSource{SecretName: name, Items: items[name], DefaultMode: new(key)}
		return volume
	}
	volume.Projected = &corev1.ProjectedVolumeSource{DefaultMode: new(key)}
	for _, name := range []string{CertificateSecretName(mc), SecretName(mc)} {
		volume.Projected.Sources = append(volume.Projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: items[name],
		}})
	}
	return volume
}

// fluxVolumeMounts returns the mounts of fluxVolumes in a container. A volume that the user mounts replaces an
// optional one.
func fluxVolumeMounts(mc *v1alpha2.MiniCluster, f Fixed, env Environment, part role, c *v1alpha2.MiniClusterContainer) []corev1.VolumeMount {
	taken := func(dir string) bool { return mountsAt(c, dir) }
	var mounts []corev1.VolumeMount
	add := func(m ...corev1.VolumeMount) { mounts = append(mounts, m...) }
	if part != roleUnwrapped {
		add(corev1.VolumeMount{Name: sharedVolume, MountPath: plan.SharedDir}, configMount())
		if env.mountsImages() {
			add(agentImageMount())
		}
	}
	if part == roleFlux {
		add(
			corev1.VolumeMount{Name: curveVolume, MountPath: plan.CertificateDir, ReadOnly: true},
			corev1.VolumeMount{Name: curveCopyVolume, MountPath: plan.CurveDir},
		)
	}
	switch {
	case f.Layout == fluxconfig.LayoutView:
		add(viewMounts(mc, f, env, taken)...)
	case part == roleFlux:
		for _, m := range plan.SystemMounts() {
			if !taken(m.Path) {
				add(sharedMount(m))
			}
		}
	case !taken(plan.RunMount().Path):
		add(sharedMount(plan.RunMount()))
	}
	if part == roleFlux {
		add(optionalMounts(mc)...)
	}
	return mounts
}

// optionalMounts returns the mounts that only the Flux containers of some MiniClusters have.
func optionalMounts(mc *v1alpha2.MiniCluster) []corev1.VolumeMount {
	var mounts []corev1.VolumeMount
	if wantsMemory(mc) {
		mounts = append(mounts, corev1.VolumeMount{Name: memoryVolume, MountPath: sharedMemory})
	}
	flux := mc.Spec.Flux
	if flux != nil && flux.MungeSecret != "" {
		mounts = append(mounts, corev1.VolumeMount{Name: mungeVolume, MountPath: plan.MungeDir, ReadOnly: true})
	}
	if flux != nil && flux.State != nil {
		mounts = append(mounts, corev1.VolumeMount{Name: stateVolume, MountPath: plan.StateVolumeDir, SubPath: flux.State.SubPath})
	}
	return mounts
}

// wantsMemory reports whether the Flux container gets a /dev/shm larger than the 64 MiB of a container runtime. It
// does not if the user mounts one, or in the host's IPC namespace, which has its own.
func wantsMemory(mc *v1alpha2.MiniCluster) bool {
	if mc.Spec.Pod != nil && mc.Spec.Pod.HostIPC {
		return false
	}
	i := mc.FluxContainerIndex()
	return i >= 0 && !mountsAt(&mc.Spec.Containers[i], sharedMemory)
}

// mountsAt reports whether the user mounts a volume at a directory of a container.
func mountsAt(c *v1alpha2.MiniClusterContainer, dir string) bool {
	for _, mount := range userMounts(c) {
		if path.Clean(mount.MountPath) == dir {
			return true
		}
	}
	return false
}

func configMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: configVolume, MountPath: plan.ConfigDir, ReadOnly: true}
}

func sharedMount(m plan.Mount) corev1.VolumeMount {
	return corev1.VolumeMount{Name: sharedVolume, MountPath: m.Path, SubPath: m.SubPath}
}

func emptyDir(name string, medium corev1.StorageMedium) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium}}}
}

func claimVolume(name, claim string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}
}
