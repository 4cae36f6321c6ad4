package plan

// Files are the places of a broker's files in a pod. Users of flux-operator look
// for them there.
type Files struct {
	// ConfigDir is the directory that brokers read (flux broker --config-path).
	ConfigDir string `json:"configDir"`
	// BrokerTOML is the configuration in it.
	BrokerTOML string `json:"brokerTOML"`
	// CurveCert is the certificate: of the broker's user, mode 0600.
	CurveCert string `json:"curveCert"`
	// R is the file of the instance's resources (Flux RFC 20).
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
	// JobArchive is the database of finished jobs that Flux before 0.70 keeps.
	JobArchive string `json:"jobArchive"`
}
