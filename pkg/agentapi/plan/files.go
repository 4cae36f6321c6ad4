package plan

// Files are the paths of a broker's files in a pod. They are those of flux-operator.
type Files struct {
	// ConfigDir is the directory that brokers read (flux broker --config-path).
	ConfigDir string `json:"configDir"`
	// BrokerTOML is the configuration in it.
	BrokerTOML string `json:"brokerTOML"`
	// CurveCert is the certificate, which belongs to the broker's user and has mode 0600.
	CurveCert string `json:"curveCert"`
	// R is the file with the resources of the instance (Flux RFC 20).
	R string `json:"r"`
	// Hostlist is the file with the host list of R.
	Hostlist string `json:"hostlist"`
	// CronDir is the broker attribute cron.directory.
	CronDir string `json:"cronDir"`
	// RunDir is the broker attribute rundir.
	RunDir string `json:"runDir"`
	// StateDir is the broker attribute statedir.
	StateDir string `json:"stateDir"`
	// Socket is the broker's local socket.
	Socket string `json:"socket"`
	// SocketURI is the broker attribute local-uri, and FLUX_URI of a client.
	SocketURI string `json:"socketURI"`
	// JobArchive is the database of finished jobs of Flux before 0.70.
	JobArchive string `json:"jobArchive"`
}
