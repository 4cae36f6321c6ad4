package v1alpha2

// MiniClusterUser is a further user of a shared cluster.
type MiniClusterUser struct {
	// Name of the user.
	// +required
	Name string `json:"name"`

	// Password of the user, at most 8 characters.
	// +optional
	Password string `json:"password,omitempty"`
}

// FluxRestful holds settings of the Flux RESTful API server of 2023.
type FluxRestful struct {
	// Branch of its repository.
	// +optional
	// +kubebuilder:default="main"
	Branch string `json:"branch,omitempty"`

	// Port of the server.
	// +optional
	// +kubebuilder:default=5000
	Port int32 `json:"port,omitempty"`

	// Secret key to encode with.
	// +optional
	SecretKey string `json:"secretKey,omitempty"`

	// Token of the user.
	// +optional
	Token string `json:"token,omitempty"`

	// Name of the user.
	// +optional
	Username string `json:"username,omitempty"`
}
