package v1alpha2

// MiniClusterUser is an additional user of the Flux instance. The agent creates
// the user in every pod where the image has none of that name.
type MiniClusterUser struct {
	// Name of the user.
	// +required
	Name string `json:"name"`

	// Password of the user, at most 8 characters. Default: generated.
	// +optional
	Password string `json:"password,omitempty"`

	// User ID, for example the one of the site, so that files on shared file
	// systems have the right owner. Default: the next free one from 1001.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	UID *int64 `json:"uid,omitempty"`

	// ID of the primary group. Default: the group that is named after the user,
	// with the user ID where it is free.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	GID *int64 `json:"gid,omitempty"`

	// Supplementary groups of the user.
	// +optional
	// +listType=atomic
	Groups []UserGroup `json:"groups,omitempty"`
}

// UserGroup is a supplementary group of a user. The agent creates the group in
// every pod where the image has none of that name.
type UserGroup struct {
	// Name of the group.
	// +required
	Name string `json:"name"`

	// Group ID. Required unless the image has a group of that name.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	GID *int64 `json:"gid,omitempty"`
}
