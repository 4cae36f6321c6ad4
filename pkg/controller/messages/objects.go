package messages

import (
	"fmt"
	"strings"
)

// CertificateLost is the message of a Secret that was deleted while its Job exists.
// restart is that of [Restart].
func CertificateLost(secret, restart string) string {
	return fmt.Sprintf("Secret %q with the certificate of the running brokers does not exist any more, so new pods can't join them; "+
		"%s to restart with a new certificate", secret, restart)
}

// ConfigLost is the message of a ConfigMap that was deleted while its Job exists and
// the spec describes another configuration. restart is that of [Restart].
func ConfigLost(configMap, restart string, edited []string) string {
	restore := "restore the spec"
	if len(edited) > 0 {
		restore = "restore " + strings.Join(edited, ", ")
	}
	return fmt.Sprintf("ConfigMap %q of the running brokers does not exist any more, pods can't start without it, and the spec describes another configuration; "+
		"%s, or %s to restart with the current spec", configMap, restore, restart)
}

// NameConflict is the message of a name that another object already has.
func NameConflict(kind, name, holder, advice string) string {
	fix := "delete or rename that object"
	if advice != "" {
		fix += ", or " + advice
	}
	return fmt.Sprintf("%s %q already exists and is not controlled by this MiniCluster (%s); %s", kind, name, holder, fix)
}

// Parts of NameConflict.
const (
	NoController         = "it has no controller"
	HeadlessOfOthers     = "it is the headless Service of MiniClusters"
	MinimalServiceHolder = "it is the minimal Service of another MiniCluster, for lead brokers only"
	NoUIDLabel           = "it has no label %s with the UID of this MiniCluster"
	RenameSidecar        = "recreate the MiniCluster with another name for the sidecar"
	SetHeadlessName      = "set spec.network.headlessName to another name"
)

// ControlledBy is the part of NameConflict that names a controller.
func ControlledBy(kind, name, uid string) string {
	return fmt.Sprintf("it is controlled by %s %q, UID %s", kind, name, uid)
}

// Events about volumes.
const (
	// VolumesNotDeleted takes a label, its value and the error.
	VolumesNotDeleted = "The MiniCluster was deleted without its PersistentVolumes, because the controller has no permission to delete them: " +
		"delete the PersistentVolumes with the label %s=%s. %v"
)
