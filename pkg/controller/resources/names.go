package resources

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// JobName is the name of a MiniCluster's Job; its pods are NAME-INDEX-xxxxx and
// their host names NAME-INDEX.
func JobName(mc *v1alpha2.MiniCluster) string { return mc.Name }

// LeadHost is the host name of the lead broker's pod.
func LeadHost(mc *v1alpha2.MiniCluster) string { return JobName(mc) + "-0" }

// ConfigMapName is the name of the ConfigMap with the brokers' configuration.
func ConfigMapName(mc *v1alpha2.MiniCluster) string { return mc.Name + "-config" }

// SecretName is the name of the Secret with the cluster's certificates. It carries a
// part of the UID because a kubelet continues to serve an immutable Secret from its
// cache when another of the same name takes its place: a MiniCluster that is
// deleted and made again would start with two certificates and never come up.
func SecretName(mc *v1alpha2.MiniCluster) string {
	uid := string(mc.UID)
	return fmt.Sprintf("%s-curve-%s", mc.Name, uid[:min(8, len(uid))])
}

// VolumeClaimName is the name of the claim that is made for a volume of
// spec.volumes, by its key there. A MiniCluster and a key are labels without dots, so
// no two of a namespace get the same name.
func VolumeClaimName(mc *v1alpha2.MiniCluster, key string) string { return mc.Name + "." + key }

// PersistentVolumeName is the name of the PersistentVolume that is made for a volume
// of spec.volumes. It is unique in the whole Kubernetes cluster, and for each life of
// a MiniCluster: a volume that outlives its MiniCluster is no obstacle to the next
// one of the same name.
func PersistentVolumeName(mc *v1alpha2.MiniCluster, key string) string {
	uid := string(mc.UID)
	return fmt.Sprintf("%s.%s.%s.%s", mc.Namespace, mc.Name, key, uid[:min(8, len(uid))])
}

// ServicesPodName is the name, and the host name, of the pod that spec.services
// describes.
func ServicesPodName(mc *v1alpha2.MiniCluster) string { return mc.Name + "-services" }

// Selector is the label selector of a MiniCluster's pods (status.selector).
func Selector(mc *v1alpha2.MiniCluster) string {
	return v1alpha2.LabelHPASelector + "=" + mc.Name
}

// PodSelector selects the pods of a MiniCluster's Job.
func PodSelector(mc *v1alpha2.MiniCluster) string {
	return Selector(mc) + "," + batchv1.JobNameLabel + "=" + JobName(mc)
}
