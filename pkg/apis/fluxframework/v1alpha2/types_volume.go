package v1alpha2

// MiniClusterVolume is a volume that the controller creates: a PersistentVolume
// and a PersistentVolumeClaim.
type MiniClusterVolume struct {
	// Directory of the node, for the storage class hostpath.
	// +required
	Path string `json:"path"`

	// Labels of the PersistentVolume.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the PersistentVolume.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Annotations of the PersistentVolumeClaim.
	// +optional
	ClaimAnnotations map[string]string `json:"claimAnnotations,omitempty"`

	// Attributes of the CSI volume.
	// +optional
	Attributes map[string]string `json:"attributes,omitempty"`

	// Capacity of the volume, a quantity.
	// +optional
	// +kubebuilder:default="5Gi"
	Capacity string `json:"capacity,omitempty"`

	// Delete the PersistentVolume with the MiniCluster.
	// +optional
	// +kubebuilder:default=true
	Delete *bool `json:"delete,omitempty"`

	// Name of the CSI driver.
	// +optional
	Driver string `json:"driver,omitempty"`

	// Name of the Secret of the CSI driver.
	// +optional
	Secret string `json:"secret,omitempty"`

	// Namespace of that Secret. Default: the namespace of the MiniCluster. The
	// controller accepts another one only where its flag
	// --volume-secret-namespaces names it.
	// +optional
	SecretNamespace string `json:"secretNamespace,omitempty"`

	// Storage class: hostpath for a directory of the node, any other for a CSI
	// volume.
	// +optional
	// +kubebuilder:default="hostpath"
	StorageClass string `json:"storageClass,omitempty"`

	// Handle of the CSI volume. Default: the storage class.
	// +optional
	VolumeHandle string `json:"volumeHandle,omitempty"`
}

// ContainerVolume mounts a volume in a container: a volume of spec.volumes by its
// name, or one that is described here. A volume with a path and nothing else is
// an empty directory in the view layout.
type ContainerVolume struct {
	// Directory in the container.
	// +optional
	Path string `json:"path,omitempty"`

	// Mount the volume read-only.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`

	// Name of an existing PersistentVolumeClaim.
	// +optional
	ClaimName string `json:"claimName,omitempty"`

	// Name of a ConfigMap.
	// +optional
	ConfigMapName string `json:"configMapName,omitempty"`

	// Keys of the ConfigMap to mount, each with the name of its file.
	// +optional
	Items map[string]string `json:"items,omitempty"`

	// Name of a Secret.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// Directory of the node.
	// +optional
	HostPath string `json:"hostPath,omitempty"`

	// An empty directory. Default of path: /dev/shm.
	// +optional
	EmptyDir bool `json:"emptyDir,omitempty"`

	// Medium of the empty directory: memory, or unset for disk.
	// +optional
	EmptyDirMedium string `json:"emptyDirMedium,omitempty"`

	// Size limit of the empty directory, a quantity.
	// +optional
	EmptyDirSizeLimit string `json:"emptyDirSizeLimit,omitempty"`

	// Name of a CSI driver, for an ephemeral volume.
	// +optional
	CSIDriver string `json:"csiDriver,omitempty"`

	// Attributes of the CSI volume.
	// +optional
	CSIDriverAttributes map[string]string `json:"csiDriverAttributes,omitempty"`
}

// ExistingVolume mounts an existing PersistentVolumeClaim, Secret or ConfigMap in
// a container.
type ExistingVolume struct {
	// Directory in the container.
	// +optional
	Path string `json:"path,omitempty"`

	// Name of a PersistentVolumeClaim.
	// +optional
	ClaimName string `json:"claimName,omitempty"`

	// Name of a ConfigMap.
	// +optional
	ConfigMapName string `json:"configMapName,omitempty"`

	// Keys of the ConfigMap to mount, each with the name of its file.
	// +optional
	Items map[string]string `json:"items,omitempty"`

	// Name of a Secret. It takes precedence over the other sources.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// Mount the volume read-only.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
}
