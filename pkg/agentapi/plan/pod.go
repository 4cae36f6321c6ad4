package plan

// Where the controller puts things in a pod, and the agent finds them.
const (
	// SharedDir is an empty directory that all containers of a pod share. The agent's
	// init container fills it.
	SharedDir = "/opt/minicluster"
	// AgentPath is the agent in it.
	AgentPath = SharedDir + "/bin/minicluster-agent"
	// MarkerDir is where the agents of a pod's containers tell each other how far
	// they are.
	MarkerDir = SharedDir + "/run"

	// ConfigDir is where the ConfigMap is mounted.
	ConfigDir = "/etc/minicluster/config"
	// FileBrokerTOML is the brokers' broker.toml in ConfigDir.
	FileBrokerTOML = "broker.toml"
	// FileQuorum is the number of brokers that must be up before the initial program
	// starts (broker.quorum) in ConfigDir. It may fall while the cluster lives.
	FileQuorum = "quorum"
	// FilePlan is the plan in ConfigDir.
	FilePlan = "plan.json"

	// CertificateDir is where the Secret with the CURVE certificate is mounted.
	CertificateDir = "/etc/minicluster/curve"
	// FileCertificate is the certificate in it.
	FileCertificate = "curve.cert"
	// FilePasswords holds the passwords of Users as a JSON object, name to password,
	// in CertificateDir; only where there are any.
	FilePasswords = "passwords.json"

	// ViewImageDir is where the image of the view is mounted read-only instead of being
	// copied, where the controller was told to do so. `minicluster-agent view` then gets
	// it as --image, and links instead of copying.
	ViewImageDir = "/opt/minicluster-view"
	// SoftwareDir is where programs of a spack view look for their libraries, by
	// absolute path. In the view layout it is the directory SoftwareSubPath of the view's
	// volume, in every container that has the volume: `minicluster-agent view` fills
	// MOUNTPATH/SoftwareSubPath, and makes it also for an image that has none.
	SoftwareDir = "/opt/software"
	// SoftwareSubPath is that directory, relative to the view's mount path.
	SoftwareSubPath = "software"

	// MungeDir is where the Secret of a MUNGE key is mounted.
	MungeDir = "/etc/munge"

	// StateVolumeDir is where a volume for the lead's state is mounted.
	StateVolumeDir = "/var/lib/minicluster-state"

	// DefaultHTTPPort answers health and metrics. It keeps off the ports that users of
	// flux-operator have in use: 5000, 8050, 8080, 8443.
	DefaultHTTPPort int32 = 9560
)

// Exit codes of the agent that are none of the application's. The Job replaces a
// pod that ends with one of them, until its backoffLimit is reached; any other
// exit code of the lead's pod is the application's own, and final. A follower ends
// with no others than these and 143 (unless completeWorkers is set).
const (
	// ExitPrepare: the pod could not be made ready for a broker.
	ExitPrepare = 210
	// ExitBroker: the broker did not start, or ended before its program did.
	ExitBroker = 211
	// ExitHook: a hook failed in a follower, and logging is strict.
	ExitHook = 212
	// ExitStopped: Kubernetes told the pod to stop (128 + SIGTERM).
	ExitStopped = 143
)

// A Mount is a directory of SharedDir that appears at another place, too.
type Mount struct {
	// SubPath is the directory, relative to SharedDir.
	SubPath string
	// Path is the other place.
	Path string
}

// SystemMounts are the places of a system instance in the Flux container of the system
// layout: in an image of any kind, and for any user, there is a directory that can be
// written, and /etc/flux itself stays the image's. `minicluster-agent install` makes
// the directories, in both layouts, and MarkerDir with them, for everybody to write
// (mode 0777): the containers of a pod may run as several users. A user who is not root
// does not own them, and Flux wants to own its run and state directories: then they
// have to be directories inside.
func SystemMounts() []Mount {
	return []Mount{
		{"system/config", "/etc/flux/config"},
		{"system/system", "/etc/flux/system"},
		{"system/curve", "/etc/curve"},
		RunMount(),
		{"system/state", "/var/lib/flux"},
	}
}

// RunMount is the one of SystemMounts with the broker's socket, which sidecars see,
// too.
func RunMount() Mount { return Mount{"system/run", "/run/flux"} }
