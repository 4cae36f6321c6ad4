package resources

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// userVolumes returns the volumes that the containers of a pod mount, in the order of their names. A volume is
// described in one of the containers or in spec.volumes. A volume with only a path is an empty directory.
func userVolumes(mc *v1alpha2.MiniCluster, containers []v1alpha2.MiniClusterContainer) []corev1.Volume {
	sources, empty := map[string]*corev1.VolumeSource{}, map[string]*corev1.EmptyDirVolumeSource{}
	for i := range containers {
		for name, v := range volumesOf(&containers[i]) {
			if source := volumeSource(&v); source != nil {
				sources[name] = source
				continue
			}
			if _, described := sources[name]; !described {
				sources[name] = nil
			}
			if _, found := empty[name]; !found || v.EmptyDirMedium != "" || v.EmptyDirSizeLimit != "" {
				empty[name] = emptyDirSource(&v)
			}
		}
	}
	var volumes []corev1.Volume
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		switch {
		case sources[name] != nil:
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: *sources[name]})
		case isClusterVolume(mc, name):
			volumes = append(volumes, claimVolume(name, VolumeClaimName(mc, name)))
		default:
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: empty[name]}})
		}
	}
	return volumes
}

func isClusterVolume(mc *v1alpha2.MiniCluster, name string) bool {
	_, ok := mc.Spec.Volumes[name]
	return ok
}

// userMounts returns the mounts of a container, in the order of their names.
func userMounts(c *v1alpha2.MiniClusterContainer) []corev1.VolumeMount {
	volumes := volumesOf(c)
	var mounts []corev1.VolumeMount
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		v := volumes[name]
		dir := v.Path
		if v.EmptyDir {
			dir = cmp.Or(dir, sharedMemory)
		}
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: dir, ReadOnly: v.ReadOnly})
	}
	return mounts
}

// volumesOf returns the volumes of a container in the form of v1alpha2, from the fields of both versions.
func volumesOf(c *v1alpha2.MiniClusterContainer) map[string]v1alpha2.ContainerVolume {
	volumes := make(map[string]v1alpha2.ContainerVolume, len(c.Volumes)+len(c.ExistingVolumes))
	for name, v := range c.ExistingVolumes {
		volumes[name] = v1alpha2.ContainerVolume{
			Path: v.Path, ReadOnly: v.ReadOnly,
			ClaimName: v.ClaimName, SecretName: v.SecretName, ConfigMapName: v.ConfigMapName, Items: v.Items,
		}
	}
	maps.Copy(volumes, c.Volumes)
	return volumes
}

// volumeSource returns the source of a volume, nil if the volume has none. If there are several, the first one in
// this order takes precedence, as in flux-operator.
func volumeSource(v *v1alpha2.ContainerVolume) *corev1.VolumeSource {
	switch {
	case v.CSIDriver != "":
		return &corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
			Driver: v.CSIDriver, VolumeAttributes: maps.Clone(v.CSIDriverAttributes),
		}}
	case v.SecretName != "":
		return &corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: v.SecretName}}
	case v.EmptyDir:
		return &corev1.VolumeSource{EmptyDir: emptyDirSource(v)}
	case v.HostPath != "":
		return &corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{
			Path: v.HostPath, Type: new(corev1.HostPathDirectory),
		}}
	case v.ConfigMapName != "":
		return &corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.ConfigMapName}, Items: keyPaths(v.Items),
		}}
	case v.ClaimName != "":
		return &corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.ClaimName}}
	default:
		return nil
	}
}

func emptyDirSource(v *v1alpha2.ContainerVolume) *corev1.EmptyDirVolumeSource {
	out := &corev1.EmptyDirVolumeSource{}
	if strings.EqualFold(v.EmptyDirMedium, string(corev1.StorageMediumMemory)) {
		out.Medium = corev1.StorageMediumMemory
	}
	// The validator has rejected invalid quantities.
	if size, err := resource.ParseQuantity(v.EmptyDirSizeLimit); err == nil {
		out.SizeLimit = &size
	}
	return out
}

func keyPaths(items map[string]string) []corev1.KeyToPath {
	var out []corev1.KeyToPath
	for _, key := range slices.Sorted(maps.Keys(items)) {
		out = append(out, corev1.KeyToPath{Key: key, Path: items[key]})
	}
	return out
}
