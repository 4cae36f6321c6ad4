package prepare

import (
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Options are facts about the pod that the plan does not have.
type Options struct {
	// Root is a directory that stands for / (tests); empty in a pod.
	Root string
	// Index is the Job's completion index of this pod.
	Index int
	// Hostname is the host name that the broker will know itself by.
	Hostname string
	// Environ is the environment of the agent (os.Environ).
	Environ []string
}

// Instance is a pod that is ready for its broker.
type Instance struct {
	// Flux is the path of the flux command.
	Flux string
	// Version of Flux.
	Version Version
	// User and Home are the name and the home directory of the broker's user. The
	// name is empty where that user has none.
	User, Home string
	// UID and GID are the broker's user.
	UID, GID uint32
	// Credential is what processes of the broker's user are started with, nil where
	// that is the agent's own user.
	Credential *syscall.Credential
	// Env is the environment of the broker, and of what is started as its user.
	Env []string
	// HookEnv is the environment of what is started as the agent's own user: Env, but
	// for its home directory and name.
	HookEnv []string
	// Files are the places of the broker's files. They are the plan's, but for the
	// directories that a broker must own and can't: its own lie below them then.
	Files plan.Files
	// Lead: this pod runs the lead broker.
	Lead bool

	plan *plan.Plan
	root string
	// shellInitrc is the file that Flux's shell reads first, empty: Flux's own.
	shellInitrc string
}

// BrokerRun is one start of a broker.
type BrokerRun struct {
	// Quorum is the number of brokers that the lead waits for; 0 in a follower.
	Quorum int32
	// Restore is an archive to restore the content from; the state directory must be
	// empty.
	Restore string
	// StateDir takes the place of Files.StateDir.
	StateDir string
	// Interactive: no initial program; the broker waits for others to submit work.
	Interactive bool
	// Program is the initial program and its arguments.
	Program []string
	// CleanupTimeout and ShutdownTimeout are how long Flux waits for jobs to end, and
	// for followers to leave, when it is stopped; 0: as long as Flux does by default.
	CleanupTimeout, ShutdownTimeout time.Duration
}
