// Package plan is the contract between the controller and the agent: the task of a pod, as data. The controller
// derives a plan from a MiniCluster (fluxconfig.AgentPlan) and writes it to the ConfigMap beside broker.toml; the
// agent of every pod reads it. Commands of users are stored as written, and never pasted into a script.
//
// It imports only the standard library, so that the agent stays small.
package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Plan is the task of the agents of a MiniCluster. All pods have the same plan; the completion index of the Job
// selects the part of each pod.
type Plan struct {
	// Name is the name of the MiniCluster. The pod of index I has the host name NAME-I.
	Name string `json:"name"`
	// Namespace is the namespace of its pods.
	Namespace string `json:"namespace"`
	// Domain is the suffix of a host name in its full name: SERVICE.NAMESPACE.svc.CLUSTERDOMAIN.
	Domain string `json:"domain"`
	// Hosts is the host list of the whole instance, by rank (Flux RFC 29), as in broker.toml and R.
	Hosts string `json:"hosts"`
	// HostCount is the number of hosts in it.
	HostCount int `json:"hostCount"`
	// Ranks maps the completion indexes of the pods to ranks; empty if all hosts of the instance are pods.
	Ranks RankMap `json:"ranks,omitempty"`
	// Size is the number of pods at creation; commands are submitted for this number of nodes.
	Size int32 `json:"size"`
	// Child: the lead broker is in another cluster (spec.flux.bursting.leadBroker), and all pods of this one are
	// followers.
	Child bool `json:"child,omitempty"`
	// System: Flux is installed in the image, and its files are where a system instance has them. Otherwise they are
	// in the view.
	System bool `json:"system,omitempty"`
	// InstallRoot is the prefix of Flux in the system layout.
	InstallRoot string `json:"installRoot,omitempty"`
	// View describes the origin of Flux in the view layout.
	View *View `json:"view,omitempty"`
	// Files are the paths of the broker's files.
	Files Files `json:"files"`
	// Broker contains the settings of every broker.
	Broker Broker `json:"broker"`
	// Resources describes every host in R.
	Resources Resources `json:"resources,omitzero"`
	// User owns the instance.
	User User `json:"user,omitzero"`
	// Users are the additional users of the instance. Their passwords are in the Secret (FilePasswords).
	Users []Account `json:"users,omitempty"`
	// HostNetwork: the pods have the host names of their nodes, so that the agent has to tell the broker its own.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// Lead is the program of the lead broker.
	Lead Program `json:"lead"`
	// Hooks are the user's commands around Flux.
	Hooks Hooks `json:"hooks,omitzero"`
	// Logging configures the output.
	Logging Logging `json:"logging,omitzero"`
	// Archive configures where the content of the instance is saved and restored from.
	Archive Archive `json:"archive,omitzero"`
	// Incarnation is the UID of the Job that the last hibernation deleted, empty if there was none. So each Job of a
	// MiniCluster has another one.
	Incarnation string `json:"incarnation,omitempty"`
	// StateVolume is the directory of the volume with the state of the lead; empty: the state has the lifetime of the
	// pod.
	StateVolume string `json:"stateVolume,omitempty"`
	// CompleteWorkers: a follower's pod completes when its broker ends.
	CompleteWorkers bool `json:"completeWorkers,omitempty"`
	// Restarts: Kubernetes restarts containers that fail (restartPolicy OnFailure or Always).
	Restarts bool `json:"restarts,omitempty"`
	// GracePeriodSeconds is the time between SIGTERM and SIGKILL.
	GracePeriodSeconds int64 `json:"gracePeriodSeconds"`
	// Sidecars are the containers beside Flux that the agent runs.
	Sidecars []Sidecar `json:"sidecars,omitempty"`
	// HTTPPort is the port for health and metrics.
	HTTPPort int32 `json:"httpPort"`
}

// Account is an additional user of the instance. An ID of 0 means that any will do.
type Account struct {
	// Name of the user.
	Name string `json:"name"`
	// UID is the user ID.
	UID int64 `json:"uid,omitempty"`
	// GID is the ID of the primary group.
	GID int64 `json:"gid,omitempty"`
	// Groups are the supplementary groups.
	Groups []Group `json:"groups,omitempty"`
}

// Group is a supplementary group of an account.
type Group struct {
	// Name of the group.
	Name string `json:"name"`
	// GID is its ID; 0: the one that the image has.
	GID int64 `json:"gid,omitempty"`
}

// View is a Flux installation that an init container provides.
type View struct {
	// Copied: an init container copies or mounts it. Otherwise the image of the Flux container has Flux, and
	// MountPath contains only files of the agent.
	Copied bool `json:"copied,omitempty"`
	// MountPath is the directory that all containers share.
	MountPath string `json:"mountPath"`
	// PythonPath replaces that of the view, if set.
	PythonPath string `json:"pythonPath,omitempty"`
}

// Broker holds settings of every broker.
type Broker struct {
	// LogLevel is the severity that is printed (log-stderr-level); a negative level prints nothing.
	LogLevel int32 `json:"logLevel"`
	// Wrap is a command in front of the broker, in the syntax of flux start --wrap.
	Wrap string `json:"wrap,omitempty"`
	// Attributes are set on the command line, flux-broker-attributes(7): what broker.toml contains, if the user
	// provides that file.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Environment is set for brokers and their children.
	Environment map[string]string `json:"environment,omitempty"`
	// DisableSocket: no socket at the documented path.
	DisableSocket bool `json:"disableSocket,omitempty"`
	// OwnConfig: broker.toml is the user's own.
	OwnConfig bool `json:"ownConfig,omitempty"`
	// SimpleScheduler: use sched-simple even if Fluxion is installed.
	SimpleScheduler bool `json:"simpleScheduler,omitempty"`
}

// Resources describes every host in R (Flux RFC 20); values of 0 are detected on the host.
type Resources struct {
	// Cores of a host.
	Cores int `json:"cores,omitempty"`
	// GPUs of a host.
	GPUs int `json:"gpus,omitempty"`
	// RequestedMilliCPU are the thousandths of CPUs that the Flux container requests.
	RequestedMilliCPU int64 `json:"requestedMilliCPU,omitempty"`
}

// User owns the instance.
type User struct {
	// Name of the user to switch to if the container runs as root; empty: keep the user of the container.
	Name string `json:"name,omitempty"`
	// UID is used when the image has no such user.
	UID int64 `json:"uid,omitempty"`
}

// Mode is how the command of the lead is run.
type Mode string

const (
	// ModeNone starts the broker and waits for users to submit work.
	ModeNone Mode = "none"
	// ModeSubmit submits the command as a job, and waits for it.
	ModeSubmit Mode = "submit"
	// ModeLauncher runs the command as the initial program; it launches its own jobs.
	ModeLauncher Mode = "launcher"
	// ModeBatch submits the lines of the command as a batch script.
	ModeBatch Mode = "batch"
	// ModeDiagnostics prints the state of the broker, and waits.
	ModeDiagnostics Mode = "diagnostics"
)

// Program is the program of the lead broker.
type Program struct {
	// Mode is how it is run.
	Mode Mode `json:"mode"`
	// Command is the command of the user, as written.
	Command string `json:"command,omitempty"`
	// Script replaces Command; it is a whole script.
	Script string `json:"script,omitempty"`
	// Prefix are words in front of the initial program.
	Prefix string `json:"prefix,omitempty"`
	// Tasks is the number of tasks; 0 asks for whole nodes only.
	Tasks int32 `json:"tasks"`
	// OptionFlags are further options of flux submit or flux batch, as words.
	OptionFlags string `json:"optionFlags,omitempty"`
	// SubmitCommand replaces flux submit, as words.
	SubmitCommand string `json:"submitCommand,omitempty"`
	// BatchRaw: the lines are the batch script, instead of one job each.
	BatchRaw bool `json:"batchRaw,omitempty"`
	// Logs is the directory of the output and error files of batch jobs.
	Logs string `json:"logs,omitempty"`
}

// Hooks are shell commands around Flux, each run in a separate shell.
type Hooks struct {
	// Init runs first, in every pod.
	Init string `json:"init,omitempty"`
	// PreCommand is the older form of Pre, and runs before it.
	PreCommand string `json:"preCommand,omitempty"`
	// Pre runs before Flux, in every pod.
	Pre string `json:"pre,omitempty"`
	// BrokerPre runs before Flux in the pod of index 0.
	BrokerPre string `json:"brokerPre,omitempty"`
	// WorkerPre runs before Flux in the pods of other indexes.
	WorkerPre string `json:"workerPre,omitempty"`
	// Post runs after Flux, in every pod.
	Post string `json:"post,omitempty"`
}

// Logging configures the output.
type Logging struct {
	// Quiet: print only the output of the application.
	Quiet bool `json:"quiet,omitempty"`
	// Strict: a hook that fails ends the pod.
	Strict bool `json:"strict,omitempty"`
	// Timed: print the wall time of Flux and of the job.
	Timed bool `json:"timed,omitempty"`
	// Debug: submit with -vvv.
	Debug bool `json:"debug,omitempty"`
}

// Archive configures where the content of the instance is saved.
type Archive struct {
	// Path of the archive (flux dump).
	Path string `json:"path,omitempty"`
	// PeriodSeconds between two archives; 0: only when the cluster stops.
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
	// RestoreFrom is the archive of another MiniCluster, or an earlier one of this. The lead starts from it while Path has
	// no archive, and never writes it.
	RestoreFrom string `json:"restoreFrom,omitempty"`
	// Earlier are further archives that earlier Jobs of this MiniCluster may have written, at other paths. The lead starts
	// from the newest one of all. They may be missing.
	Earlier []string `json:"earlier,omitempty"`
	// Discard: the lead of this Job starts without the state that earlier ones have left. Their agents were not asked to
	// discard it.
	Discard bool `json:"discard,omitempty"`
	// JobRecords is the file with the records of jobs that have ended.
	JobRecords string `json:"jobRecords,omitempty"`
}

// Sidecar is a container beside Flux that the agent runs.
type Sidecar struct {
	// Name of the container.
	Name string `json:"name"`
	// Command is the command of the container, as written.
	Command string `json:"command,omitempty"`
	// Script replaces Command.
	Script string `json:"script,omitempty"`
	// Init runs first.
	Init string `json:"init,omitempty"`
	// ServicePre runs before the wait for Flux.
	ServicePre string `json:"servicePre,omitempty"`
	// Post runs at the end.
	Post string `json:"post,omitempty"`
	// WaitSocket: start the command when the broker's socket exists.
	WaitSocket bool `json:"waitSocket,omitempty"`
}

// Sidecar returns the sidecar of a container, nil if there is none.
func (p *Plan) Sidecar(name string) *Sidecar {
	for i := range p.Sidecars {
		if p.Sidecars[i].Name == name {
			return &p.Sidecars[i]
		}
	}
	return nil
}

// Text returns the plan as JSON. The same plan has the same text.
func (p *Plan) Text() (string, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // people read it too
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return "", fmt.Errorf("encoding the agent's plan: %w", err)
	}
	return text.String(), nil
}

// Parse reads a plan. It ignores unknown keys, so that a newer controller works with an older agent.
func Parse(text []byte) (*Plan, error) {
	var p Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("reading the agent's plan: %w", err)
	}
	if p.Name == "" || p.Hosts == "" || p.Files.Socket == "" {
		return nil, errors.New("reading the agent's plan: name, hosts or files are missing")
	}
	return &p, nil
}
