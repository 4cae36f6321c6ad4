package prepare

import (
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Options describe the pod where the plan does not.
type Options struct {
	// Root replaces / in tests; empty in a pod.
	Root string
	// Index is the completion index of this pod in the Job.
	Index int
	// Hostname is the host name by which the broker identifies itself.
	Hostname string
	// Environ is the environment of the container, with what hooks have exported.
	Environ []string
	// Path is the PATH of the container itself.
	Path string
	// Dir is the working directory.
	Dir string
	// KeepURI: the command connects to the instance in FLUX_URI, if Environ has it.
	KeepURI bool
}

// Instance is a pod that is ready for its broker.
type Instance struct {
	// Flux is the path of the flux command.
	Flux string
	// Version of Flux.
	Version Version
	// User and Home are the name and the home directory of the broker's user. The name is empty if the user has none.
	User, Home string
	// UID and GID identify the broker's user.
	UID, GID uint32
	// Credential starts processes as the broker's user; nil if that is the user of the agent.
	Credential *syscall.Credential
	// Env is the environment of the broker and of its children.
	Env []string
	// HookEnv is the environment of processes that run as the user of the agent: Env, except for the home directory
	// and the name.
	HookEnv []string
	// Files are the paths of the broker's files. They are those of the plan, except for directories that the broker's
	// user cannot own: these are below the paths of the plan.
	Files plan.Files
	// Lead: this pod runs the lead broker.
	Lead bool

	plan *plan.Plan
	root string
	// hostname is the host name by which the broker identifies itself.
	hostname string
	// shellInitrc is the file that the Flux shell reads first; empty for the default of Flux.
	shellInitrc string
	// exclusive: no other container can use the CPUs. binds: Flux may bind jobs to CPUs.
	exclusive, binds bool
	// encodedR is the R that the agent wrote to Files.R.
	encodedR string
	// adopted: HookEnv is the environment that hooks have left.
	adopted bool
}

// BrokerRun describes one start of a broker.
type BrokerRun struct {
	// Quorum is the number of brokers for which the lead waits; 0 in a follower.
	Quorum int32
	// Restore is the archive from which the content is restored; the state directory must be empty.
	Restore string
	// StateDir replaces Files.StateDir.
	StateDir string
	// Interactive: there is no initial program; users submit work.
	Interactive bool
	// StopQueues: all queues are stopped before the broker can run jobs.
	StopQueues bool
	// Program is the initial program and its arguments.
	Program []string
	// CleanupTimeout and ShutdownTimeout limit how long a stopping Flux waits for the end of jobs and for followers;
	// 0 is the default of Flux.
	CleanupTimeout, ShutdownTimeout time.Duration
}
