package v1alpha2

// MiniClusterVolume is a volume that the controller makes: a PersistentVolume
// and a PersistentVolumeClaim.
type MiniClusterVolume struct {
	// Path on the node, for the storage class hostpath.
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

	// Namespace of that Secret.
	// +optional
	// +kubebuilder:default="default"
	SecretNamespace string `json:"secretNamespace,omitempty"`

	// Storage class: hostpath for a directory of the node, otherwise a CSI
	// volume.
	// +optional
	// +kubebuilder:default="hostpath"
	StorageClass string `json:"storageClass,omitempty"`

	// Handle of the CSI volume; the storage class where unset.
	// +optional
	VolumeHandle string `json:"volumeHandle,omitempty"`
}

// ContainerVolume mounts a volume in a container: one of spec.volumes by its
// name (v1alpha1), or an existing one that is described here (v1alpha2).
type ContainerVolume struct {
	// Path in the container.
	// +optional
	Path string `json:"path,omitempty"`

	// Mount it read-only.
	// +optional
	// +kubebuilder:default=false
	ReadOnly bool `json:"readOnly,omitempty"`

	// Name of an existing PersistentVolumeClaim.
	// +optional
	ClaimName string `json:"claimName,omitempty"`

	// Name of a ConfigMap.
	// +optional
	ConfigMapName string `json:"configMapName,omitempty"`

	// Keys of the ConfigMap, and the file that each becomes.
	// +optional
	Items map[string]string `json:"items,omitempty"`

	// Name of a Secret.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// Directory of the node.
	// +optional
	HostPath string `json:"hostPath,omitempty"`

	// An empty directory; at /dev/shm where path is unset.
	// +optional
	// +kubebuilder:default=false
	EmptyDir bool `json:"emptyDir,omitempty"`

	// Medium of the empty directory: memory, or unset for disk.
	// +optional
	EmptyDirMedium string `json:"emptyDirMedium,omitempty"`

	// Largest size of the empty directory, a quantity.
	// +optional
	EmptyDirSizeLimit string `json:"emptyDirSizeLimit,omitempty"`

	// Name of a CSI driver, for a volume that lives as long as its pod.
	// +optional
	CSIDriver string `json:"csiDriver,omitempty"`

	// Attributes of the CSI volume.
	// +optional
	CSIDriverAttributes map[string]string `json:"csiDriverAttributes,omitempty"`
}

// ExistingVolume mounts an existing claim, Secret or ConfigMap in a container.
type ExistingVolume struct {
	// Path in the container.
	// +optional
	Path string `json:"path,omitempty"`

	// Name of a PersistentVolumeClaim.
	// +optional
	ClaimName string `json:"claimName,omitempty"`

	// Name of a ConfigMap.
	// +optional
	ConfigMapName string `json:"configMapName,omitempty"`

	// Keys of the ConfigMap, and the file that each becomes.
	// +optional
	Items map[string]string `json:"items,omitempty"`

	// Name of a Secret; it takes precedence over the others.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// Mount it read-only.
	// +optional
	// +kubebuilder:default=false
	ReadOnly bool `json:"readOnly,omitempty"`
}
