package v1alpha2

// FluxRestful holds settings of the Flux RESTful API server of 2023. They have
// no effect.
type FluxRestful struct {
	// Branch of the repository of the server.
	// +optional
	// +kubebuilder:default="main"
	Branch string `json:"branch,omitempty"`

	// Port of the server.
	// +optional
	// +kubebuilder:default=5000
	Port int32 `json:"port,omitempty"`

	// Secret key of the server.
	// +optional
	SecretKey string `json:"secretKey,omitempty"`

	// Token of the user.
	// +optional
	Token string `json:"token,omitempty"`

	// Name of the user.
	// +optional
	Username string `json:"username,omitempty"`
}
