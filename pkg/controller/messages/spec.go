package messages

import (
	"fmt"
	"strings"
)

// Condition Accepted.
const (
	SpecValid = "the spec is valid"
	// SecretNamespaceNotAllowed takes a key of spec.volumes, the namespace of its Secret and
	// that of the MiniCluster.
	SecretNamespaceNotAllowed = "spec.volumes[%s].secretNamespace: Secrets of namespace %s are not allowed: use a Secret of namespace %s, " +
		"or ask the administrator to add the namespace to the flag --volume-secret-namespaces of the controller"
	// HostPathNotAllowed takes a key of spec.volumes and the name of the storage class.
	HostPathNotAllowed = "spec.volumes[%s]: volumes in a directory of a node (storage class %s) are not allowed because they bypass Pod Security; " +
		"mount an existing claim (claimName in volumes of the container) instead, or ask the administrator to start the controller with --allow-hostpath-volumes"
	VolumesNotAllowed = "spec.volumes: the controller works in some namespaces only (--namespaces) and has no permission for PersistentVolumes, " +
		"which are cluster-scoped; ask for a volume and a claim, and mount the claim (claimName in volumes of the container, or existingVolumes)"
)

// DriverNotAllowed is the message of a volume of a CSI driver that the controller may not
// create PersistentVolumes for.
func DriverNotAllowed(key, driver string) string {
	return fmt.Sprintf("spec.volumes[%s]: PersistentVolumes of CSI driver %q are not allowed: mount an existing claim (claimName in volumes "+
		"of the container, or existingVolumes), or ask the administrator to add the driver to the flag --persistent-volumes of the controller", key, driver)
}

// IneffectiveFields is the message of a valid spec with fields that have no effect.
func IneffectiveFields(lines []string) string {
	return "the spec is valid; without effect: " + strings.Join(lines, "; ")
}

// ImmutableFields is the message of a spec whose immutable fields were edited. mutable are at least two others.
func ImmutableFields(fields, mutable []string) string {
	last := len(mutable) - 1
	return fmt.Sprintf("ignored: %s changed after creation; only %s and %s may change; "+
		"hibernate and wake the MiniCluster, or recreate it, to apply the new values", strings.Join(fields, ", "), strings.Join(mutable[:last], ", "), mutable[last])
}

// ObjectInvalid is the message of an object that the API server rejects as invalid.
func ObjectInvalid(object string, err error) string {
	return fmt.Sprintf("the API server rejects %s: %v", object, err)
}

// ImageVolumesRejected is added to ObjectInvalid if the API server drops image volumes.
const ImageVolumesRejected = "; the API server does not support image volumes: enable its feature gate ImageVolume, " +
	"or start the controller without --image-volumes"
