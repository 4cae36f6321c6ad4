package plan

// Paths that the controller and the agent use in a pod.
const (
	// SharedDir is an empty directory that all containers of a pod share. The init container of the agent fills it.
	SharedDir = "/opt/minicluster"
	// AgentPath is the path of the agent in it: a copy, or a link to the agent in AgentImageDir.
	AgentPath = SharedDir + "/bin/minicluster-agent"
	// MarkerDir is where the agents of the containers of a pod exchange their state.
	MarkerDir = SharedDir + "/run"

	// FilePreStop is the file in MarkerDir that preStop hooks create when they start.
	FilePreStop = "prestop"

	// ConfigDir is where the ConfigMap is mounted.
	ConfigDir = "/etc/minicluster/config"
	// FileBrokerTOML is broker.toml in ConfigDir.
	FileBrokerTOML = "broker.toml"
	// FileQuorum is the number of brokers that must be up before the initial program starts (broker.quorum), in
	// ConfigDir. It may decrease while the cluster runs.
	FileQuorum = "quorum"
	// FilePlan is the plan in ConfigDir.
	FilePlan = "plan.json"

	// CertificateDir is where the Secret with the CURVE certificate is mounted.
	CertificateDir = "/etc/minicluster/curve"
	// FileCertificate is the certificate in it.
	FileCertificate = "curve.cert"
	// CurveDir is an empty directory of the Flux container, which no other container of the pod mounts. It contains the
	// copy of the certificate that the broker reads.
	CurveDir = "/etc/curve"

	// FilePasswords contains the passwords of Users as a JSON object from name to password, in CertificateDir; it
	// exists only if there are any.
	FilePasswords = "passwords.json"

	// AgentImageDir is where the image of the agent is mounted read-only, if the controller is configured to mount
	// images instead of running init containers. `minicluster-agent run` and `sidecar` get --image-volumes then: they
	// make the directories that the init containers would make.
	AgentImageDir = "/opt/minicluster-agent"
	// AgentInImage is where the image of the agent has it.
	AgentInImage = "/minicluster-agent"

	// ViewImageDir is where the image of the view is mounted read-only instead of being copied, if the controller is
	// configured to do so: the view consists of links instead of copies.
	ViewImageDir = "/opt/minicluster-view"
	// SoftwareDir is where programs of a spack view find their libraries, by absolute path. In the view layout it is
	// the directory SoftwareSubPath of the view's volume, in every container with that volume: `minicluster-agent
	// view` fills MOUNTPATH/SoftwareSubPath, and creates it also for an image without packages.
	SoftwareDir = "/opt/software"
	// SoftwareSubPath is that directory, relative to the view's mount path.
	SoftwareSubPath = "software"

	// MungeDir is where the Secret of a MUNGE key is mounted.
	MungeDir = "/etc/munge"

	// StateVolumeDir is where a volume for the state of the lead is mounted.
	StateVolumeDir = "/var/lib/minicluster-state"

	// DefaultHTTPPort is the default port for health and metrics. It avoids ports that users of flux-operator use:
	// 5000, 8050, 8080, 8443.
	DefaultHTTPPort int32 = 9560
)

// Exit codes of the agent. The Job replaces a pod that ends with one of them, until its backoffLimit is reached, except
// for ExitSpec. Any other exit code of the lead's pod is that of the application, and final. A follower ends with no
// other codes than these (unless completeWorkers is set).
const (
	// ExitPrepare: preparing the pod for a broker failed.
	ExitPrepare = 210
	// ExitBroker: the broker did not start, or ended before its program did.
	ExitBroker = 211
	// ExitHook: a hook failed in a follower, and logging is strict.
	ExitHook = 212
	// ExitSpec: the spec or the image asks for something that fails in every pod, and each time: the Job fails.
	ExitSpec = 213
	// ExitStopped: the pod was asked to stop (128 + SIGTERM).
	ExitStopped = 143
)

// A Mount is a directory of SharedDir that is mounted at another path, too.
type Mount struct {
	// SubPath is the directory, relative to SharedDir.
	SubPath string
	// Path is the other path.
	Path string
}

// SystemMounts returns the mounts of a system instance in the Flux container of the system layout. They provide
// writable directories in any image and for any user, while /etc/flux itself stays that of the image.
// `minicluster-agent install` makes the directories, and MarkerDir, in both layouts, writable by all users (mode
// 0777), because the containers of a pod may run as different users. A user other than root does not own them, but
// Flux requires to own its run and state directories: in that case these are directories inside.
func SystemMounts() []Mount {
	return []Mount{
		{"system/config", "/etc/flux/config"},
		{"system/system", "/etc/flux/system"},
		RunMount(),
		{"system/state", "/var/lib/flux"},
	}
}

// RunMount returns the mount with the broker's socket, which sidecars have too.
func RunMount() Mount { return Mount{"system/run", "/run/flux"} }
