package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestVolumeSources(t *testing.T) {
	size := resource.MustParse("1Gi")
	for name, tc := range map[string]struct {
		volume v1alpha2.ContainerVolume
		want   *corev1.VolumeSource
	}{
		"claim": {v1alpha2.ContainerVolume{ClaimName: "c"}, &corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}},
		"secret": {v1alpha2.ContainerVolume{SecretName: "s"}, &corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
		// The name of the volume need not be the ConfigMap's.
		"config map": {v1alpha2.ContainerVolume{ConfigMapName: "m", Items: map[string]string{"b": "x/b", "a": "y"}}, &corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "m"}, Items: []corev1.KeyToPath{{Key: "a", Path: "y"}, {Key: "b", Path: "x/b"}},
			}}},
		"host path": {v1alpha2.ContainerVolume{HostPath: "/data"}, &corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/data", Type: new(corev1.HostPathDirectory)}}},
		"empty": {v1alpha2.ContainerVolume{EmptyDir: true}, &corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		"memory": {v1alpha2.ContainerVolume{EmptyDir: true, EmptyDirMedium: "memory", EmptyDirSizeLimit: "1Gi"}, &corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size}}},
		// An invalid size does not end the controller; the validator rejects it.
		"no size": {v1alpha2.ContainerVolume{EmptyDir: true, EmptyDirSizeLimit: "large"}, &corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		"CSI": {v1alpha2.ContainerVolume{CSIDriver: "d", CSIDriverAttributes: map[string]string{"k": "v"}}, &corev1.VolumeSource{
			CSI: &corev1.CSIVolumeSource{Driver: "d", VolumeAttributes: map[string]string{"k": "v"}}}},
		"several": {v1alpha2.ContainerVolume{ClaimName: "c", ConfigMapName: "m", HostPath: "/h", EmptyDir: true, SecretName: "s"}, &corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
		"nothing": {v1alpha2.ContainerVolume{Path: "/data"}, nil},
	} {
		assert.Equal(t, tc.want, volumeSource(&tc.volume), name)
	}
}

// TestVolumesOfSeveralContainers checks that a pod has each volume once, whichever containers mount it, and that each
// container has only its own mounts.
func TestVolumesOfSeveralContainers(t *testing.T) {
	spec := podOf(t, testEnvironment, sample.WithInstallRoot, withSidecars, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"made": {Path: "/nodes/data"}}
		mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{
			"made": {Path: "/data"}, "described": {Path: "/a", SecretName: "s", ReadOnly: true},
		}
		mc.Spec.Containers[0].ExistingVolumes = map[string]v1alpha2.ExistingVolume{"certs": {Path: "/etc/certs", SecretName: "certs"}}
		mc.Spec.Containers[1].Volumes = map[string]v1alpha2.ContainerVolume{"made": {Path: "/other", ReadOnly: true}, "described": {Path: "/b"}}
		mc.Spec.Containers[2].ExistingVolumes = map[string]v1alpha2.ExistingVolume{"claim": {Path: "/c", ClaimName: "pvc"}}
	})
	sources := map[string]corev1.VolumeSource{}
	for _, v := range spec.Volumes {
		sources[v.Name] = v.VolumeSource
	}
	assert.Equal(t, "flux-sample.made", sources["made"].PersistentVolumeClaim.ClaimName, "the claim that is made for it")
	assert.Equal(t, "s", sources["described"].Secret.SecretName)
	assert.Equal(t, "certs", sources["certs"].Secret.SecretName)
	assert.Equal(t, "pvc", sources["claim"].PersistentVolumeClaim.ClaimName)

	users := func(name string) []corev1.VolumeMount {
		var mounts []corev1.VolumeMount
		for _, m := range container(t, spec, name).VolumeMounts {
			if !strings.HasPrefix(m.Name, "minicluster-") {
				mounts = append(mounts, m)
			}
		}
		return mounts
	}
	assert.Equal(t, []corev1.VolumeMount{
		{Name: "certs", MountPath: "/etc/certs"}, {Name: "described", MountPath: "/a", ReadOnly: true}, {Name: "made", MountPath: "/data"},
	}, users("flux-sample"))
	assert.Equal(t, []corev1.VolumeMount{{Name: "described", MountPath: "/b"}, {Name: "made", MountPath: "/other", ReadOnly: true}}, users("wrapped"))
	assert.Equal(t, []corev1.VolumeMount{{Name: "claim", MountPath: "/c"}}, users("own"))
}

// TestVolumeWithPathAlone checks that a volume with only a path is an empty directory, unless another container
// describes it.
func TestVolumeWithPathAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		flux, sidecar v1alpha2.ContainerVolume
		want          corev1.VolumeSource
	}{
		"a path": {
			flux: v1alpha2.ContainerVolume{Path: "/data"}, sidecar: v1alpha2.ContainerVolume{Path: "/other"},
			want: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		},
		"a medium": {
			flux: v1alpha2.ContainerVolume{Path: "/data"}, sidecar: v1alpha2.ContainerVolume{Path: "/data", EmptyDirMedium: "memory"},
			want: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}},
		},
		"a claim of the other container": {
			flux: v1alpha2.ContainerVolume{Path: "/data"}, sidecar: v1alpha2.ContainerVolume{Path: "/data", ClaimName: "disk"},
			want: claimVolume("data", "disk").VolumeSource,
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Containers[0].RunFlux = true
				mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"data": tc.flux}
				mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{
					Name: "sidecar", Image: "s", Volumes: map[string]v1alpha2.ContainerVolume{"data": tc.sidecar},
				})
			})
			assert.Equal(t, corev1.Volume{Name: "data", VolumeSource: tc.want}, spec.Volumes[len(spec.Volumes)-1])
		})
	}
}
