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
	viewImageVolume = validation.ViewImageVolume
	memoryVolume    = validation.MemoryVolume
	mungeVolume     = validation.MungeVolume
	stateVolume     = validation.StateVolume
)

// sharedMemory is the directory that MPI libraries exchange messages in.
const sharedMemory = "/dev/shm"

// Modes of files from Secrets. Flux rejects a certificate that others can read, so the agent copies it. To do so as
// any user, the agent must be able to read it.
const (
	modeReadable int32 = 0o444
	modeOfRoot   int32 = 0o400
)

// fluxVolumes returns the volumes that a pod needs to run Flux.
func fluxVolumes(mc *v1alpha2.MiniCluster, f Fixed, env Environment) []corev1.Volume {
	volumes := []corev1.Volume{
		emptyDir(sharedVolume, ""),
		{Name: configVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: ConfigMapName(mc)},
		}}},
		credentialsVolume(mc),
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

// keyMode returns the mode of keys: readable by root only if the agent certainly runs as root, which spec.users
// requires.
func keyMode(mc *v1alpha2.MiniCluster) int32 {
	if len(mc.Spec.Users) > 0 || runsAsRoot(mc) {
		return modeOfRoot
	}
	return modeReadable
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
		own(plan.FilePasswords, modeOfRoot)
	}
	own(control.KeyCA, modeReadable)
	own(control.KeyServerCert, modeReadable)
	own(control.KeyServerKey, key)
	volume := corev1.Volume{Name: curveVolume}
	if len(items) == 1 {
		name := CertificateSecretName(mc)
		volume.Secret = &corev1.SecretVolumeSource{SecretName: name, Items: items[name], DefaultMode: new(modeReadable)}
		return volume
	}
	volume.Projected = &corev1.ProjectedVolumeSource{DefaultMode: new(modeReadable)}
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
		add(corev1.VolumeMount{Name: curveVolume, MountPath: plan.CertificateDir, ReadOnly: true})
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
