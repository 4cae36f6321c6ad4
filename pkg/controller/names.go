package controller

import (
	"fmt"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// JobName is the name of a MiniCluster's Job; its pods are NAME-INDEX-xxxxx and
// their host names NAME-INDEX.
func JobName(mc *v1alpha2.MiniCluster) string { return mc.Name }

// ConfigMapName is the name of the ConfigMap with the brokers' configuration.
func ConfigMapName(mc *v1alpha2.MiniCluster) string { return mc.Name + "-config" }

// SecretName is the name of the Secret with the CURVE certificate. It carries a
// part of the UID because a kubelet goes on serving an immutable Secret from its
// cache when another of the same name takes its place: a MiniCluster that is
// deleted and made again would start with two certificates and never come up.
func SecretName(mc *v1alpha2.MiniCluster) string {
	uid := string(mc.UID)
	return fmt.Sprintf("%s-curve-%s", mc.Name, uid[:min(8, len(uid))])
}

// Selector is the label selector of a MiniCluster's pods (status.selector).
func Selector(mc *v1alpha2.MiniCluster) string {
	return v1alpha2.LabelHPASelector + "=" + mc.Name
}
