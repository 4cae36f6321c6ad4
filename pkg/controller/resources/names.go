package resources

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// JobName returns the name of a MiniCluster's Job. Its pods are NAME-INDEX-xxxxx and their host names NAME-INDEX.
func JobName(mc *v1alpha2.MiniCluster) string { return mc.Name }

// LeadHost returns the host name of the lead broker's pod.
func LeadHost(mc *v1alpha2.MiniCluster) string { return JobName(mc) + "-0" }

// ConfigMapName returns the name of the ConfigMap with the brokers' configuration.
func ConfigMapName(mc *v1alpha2.MiniCluster) string { return mc.Name + "-config" }

// SecretName returns the name of the Secret with the cluster's certificates. It contains a part of the UID because a
// kubelet serves an immutable Secret from its cache even if another one with the same name replaces it. Without it, a
// MiniCluster that is deleted and created again could start with two certificates and never become ready.
func SecretName(mc *v1alpha2.MiniCluster) string {
	uid := string(mc.UID)
	return secretPrefix(mc) + uid[:min(8, len(uid))]
}

// secretPrefix returns the part of SecretName that MiniClusters of the same name have in common.
func secretPrefix(mc *v1alpha2.MiniCluster) string { return mc.Name + "-curve-" }

// VolumeClaimName returns the name of the claim of a volume of spec.volumes with a key. Names of MiniClusters and
// keys contain no dots, so no two volumes of a namespace get the same name.
func VolumeClaimName(mc *v1alpha2.MiniCluster, key string) string { return mc.Name + "." + key }

// PersistentVolumeName returns the name of the PersistentVolume of a volume of spec.volumes. It is unique in the
// Kubernetes cluster, and for each UID of a MiniCluster: a volume that outlives its MiniCluster does not block the
// next one of the same name.
func PersistentVolumeName(mc *v1alpha2.MiniCluster, key string) string {
	uid := string(mc.UID)
	return fmt.Sprintf("%s.%s.%s.%s", mc.Namespace, mc.Name, key, uid[:min(8, len(uid))])
}

// ServicesPodName returns the name, and the host name, of the pod of spec.services.
func ServicesPodName(mc *v1alpha2.MiniCluster) string { return mc.Name + "-services" }

// Selector returns the label selector of a MiniCluster's pods (status.selector).
func Selector(mc *v1alpha2.MiniCluster) string {
	return v1alpha2.LabelHPASelector + "=" + mc.Name
}

// PodSelector returns the selector of the pods of a MiniCluster's Job.
func PodSelector(mc *v1alpha2.MiniCluster) string {
	return Selector(mc) + "," + batchv1.JobNameLabel + "=" + JobName(mc)
}
