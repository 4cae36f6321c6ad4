package resources

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// StorageHostPath is the storage class of a volume in a directory of the nodes.
const StorageHostPath = "hostpath"

func isHostPath(v *v1alpha2.MiniClusterVolume) bool {
	return v.StorageClass == "" || v.StorageClass == StorageHostPath
}

// BuildPersistentVolume builds the PersistentVolume of a volume of spec.volumes, reserved for its claim.
//
// Its reclaim policy is always Retain: if the volume is deleted with the MiniCluster, the object is deleted and the
// data is kept. With Delete, Kubernetes would delete a directory below /tmp of the machine that its controller
// manager runs on, and it cannot delete other volumes that it did not provision.
func BuildPersistentVolume(mc *v1alpha2.MiniCluster, key string) (*corev1.PersistentVolume, error) {
	v := mc.Spec.Volumes[key]
	capacity, err := resource.ParseQuantity(v.Capacity)
	if err != nil {
		return nil, fmt.Errorf("reading the capacity %q of volume %q: %w", v.Capacity, key, err)
	}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        PersistentVolumeName(mc, key),
			Labels:      withLabels(v.Labels, mc),
			Annotations: maps.Clone(v.Annotations),
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: capacity},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			VolumeMode:                    new(corev1.PersistentVolumeFilesystem),
			StorageClassName:              cmp.Or(v.StorageClass, StorageHostPath),
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: mc.Namespace, Name: VolumeClaimName(mc, key),
			},
			PersistentVolumeSource: persistentVolumeSource(mc, &v),
		},
	}
	pv.Labels[v1alpha2.LabelMiniClusterUID] = string(mc.UID)
	if !ptr.Deref(v.Delete, true) {
		if pv.Annotations == nil {
			pv.Annotations = map[string]string{}
		}
		pv.Annotations[v1alpha2.AnnotationKeepVolume] = "true"
	}
	return pv, nil
}

func persistentVolumeSource(mc *v1alpha2.MiniCluster, v *v1alpha2.MiniClusterVolume) corev1.PersistentVolumeSource {
	if isHostPath(v) {
		return corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{
			Path: v.Path, Type: new(corev1.HostPathDirectoryOrCreate),
		}}
	}
	csi := &corev1.CSIPersistentVolumeSource{
		Driver:           v.Driver,
		VolumeHandle:     cmp.Or(v.VolumeHandle, v.StorageClass),
		VolumeAttributes: maps.Clone(v.Attributes),
	}
	if v.Secret != "" {
		secret := corev1.SecretReference{Name: v.Secret, Namespace: secretNamespace(mc, v)}
		csi.ControllerPublishSecretRef = &secret
		csi.NodeStageSecretRef = &secret
		csi.NodePublishSecretRef = &secret
	}
	return corev1.PersistentVolumeSource{CSI: csi}
}

// BuildVolumeClaim builds the claim of a volume of spec.volumes.
func BuildVolumeClaim(mc *v1alpha2.MiniCluster, key string) (*corev1.PersistentVolumeClaim, error) {
	v := mc.Spec.Volumes[key]
	capacity, err := resource.ParseQuantity(v.Capacity)
	if err != nil {
		return nil, fmt.Errorf("reading the capacity %q of volume %q: %w", v.Capacity, key, err)
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: objectMeta(mc, VolumeClaimName(mc, key)),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			VolumeMode:       new(corev1.PersistentVolumeFilesystem),
			StorageClassName: new(cmp.Or(v.StorageClass, StorageHostPath)),
			VolumeName:       PersistentVolumeName(mc, key),
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: capacity}},
		},
	}
	claim.Annotations = maps.Clone(v.ClaimAnnotations)
	return claim, nil
}

// withLabels returns the user's labels with those of the controller, which take precedence.
func withLabels(users map[string]string, mc *v1alpha2.MiniCluster) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, users)
	maps.Copy(labels, labelsOf(mc.Name))
	return labels
}

// HostPathVolume returns the name of a volume of spec.volumes that is a directory of the nodes, "" if there is none.
func HostPathVolume(mc *v1alpha2.MiniCluster) string {
	for _, key := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		if v := mc.Spec.Volumes[key]; isHostPath(&v) {
			return key
		}
	}
	return ""
}

// ForbiddenDriverVolume returns the name of a volume of spec.volumes of a CSI driver that the environment does not
// permit, "" if there is none.
func ForbiddenDriverVolume(mc *v1alpha2.MiniCluster, env Environment) string {
	for _, key := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		v := mc.Spec.Volumes[key]
		if !isHostPath(&v) && !slices.Contains(env.PersistentVolumeDrivers, v.Driver) && !slices.Contains(env.PersistentVolumeDrivers, "*") {
			return key
		}
	}
	return ""
}

// ForeignSecretVolume returns the name of a volume of spec.volumes with a Secret of a namespace that the environment
// does not permit, "" if there is none. A Secret of another namespace would give users access that they do not have
// in their own namespace.
func ForeignSecretVolume(mc *v1alpha2.MiniCluster, env Environment) string {
	for _, key := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		v := mc.Spec.Volumes[key]
		namespace := secretNamespace(mc, &v)
		if v.Secret == "" || isHostPath(&v) || namespace == mc.Namespace {
			continue
		}
		if !slices.Contains(env.VolumeSecretNamespaces, namespace) && !slices.Contains(env.VolumeSecretNamespaces, "*") {
			return key
		}
	}
	return ""
}

// secretNamespace returns the namespace of the Secret of a volume.
func secretNamespace(mc *v1alpha2.MiniCluster, v *v1alpha2.MiniClusterVolume) string {
	return cmp.Or(v.SecretNamespace, mc.Namespace)
}
