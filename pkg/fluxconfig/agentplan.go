package fluxconfig

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// AgentPlan returns the plan of the agents in a MiniCluster's pods. size is the number of pods at creation, grace the
// grace period in seconds. Defaults must be set.
func AgentPlan(mc *v1alpha2.MiniCluster, p Params, size int32, grace int64) (*plan.Plan, error) {
	p = p.withDefaults(mc)
	hosts, err := Hosts(mc, p)
	if err != nil {
		return nil, err
	}
	files, err := pathsOf(mc, p.Layout)
	if err != nil {
		return nil, err
	}
	broker, err := brokerPlan(mc)
	if err != nil {
		return nil, err
	}
	out := &plan.Plan{
		Name:               p.Name,
		Namespace:          p.Namespace,
		Domain:             p.domain(),
		Hosts:              hosts.String(),
		HostCount:          hosts.Count(),
		Size:               size,
		System:             p.Layout == LayoutSystem,
		Files:              files,
		Broker:             broker,
		Logging:            loggingPlan(mc, p.Layout),
		GracePeriodSeconds: grace,
		HTTPPort:           HTTPPort(mc),
	}
	out.Users = accountsPlan(mc.Spec.Users)
	out.HostNetwork = mc.Spec.Pod != nil && mc.Spec.Pod.HostNetwork
	if pod := mc.Spec.Pod; pod != nil {
		out.Restarts = pod.RestartPolicy == corev1.RestartPolicyOnFailure || pod.RestartPolicy == corev1.RestartPolicyAlways
	}
	if a := mc.Spec.Archive; a != nil {
		out.Archive = plan.Archive{Path: a.Path, PeriodSeconds: a.PeriodSeconds, JobRecords: a.JobRecords}
	}
	out.Incarnation, out.Archive.RestoreFrom = p.Incarnation, p.RestoreFrom
	out.Archive.Earlier, out.Archive.Discard = p.Earlier, p.Discard
	if flux := mc.Spec.Flux; flux != nil {
		out.Ranks = ownRanks(hosts, flux.Bursting, p)
		out.Child = flux.Bursting != nil && flux.Bursting.LeadBroker != nil
		out.CompleteWorkers = flux.CompleteWorkers
		if flux.State != nil {
			out.StateVolume = plan.StateVolumeDir
		}
	}
	if out.System {
		out.InstallRoot = installRoot(&mc.Spec)
	} else {
		out.View = viewPlan(&mc.Spec)
	}
	containerPlans(out, mc)
	return out, nil
}

// accountsPlan returns the additional users, without their passwords.
func accountsPlan(users []v1alpha2.MiniClusterUser) []plan.Account {
	var out []plan.Account
	for i := range users {
		account := plan.Account{Name: users[i].Name, UID: ptr.Deref(users[i].UID, 0), GID: ptr.Deref(users[i].GID, 0)}
		for _, g := range users[i].Groups {
			account.Groups = append(account.Groups, plan.Group{Name: g.Name, GID: ptr.Deref(g.GID, 0)})
		}
		out = append(out, account)
	}
	return out
}

// HTTPPort returns the port on which the agent serves health and metrics: the default, or the next even port if a
// container of the pod uses it or the odd one above, on which the agent of the lead listens for the controller.
func HTTPPort(mc *v1alpha2.MiniCluster) int32 {
	port := plan.DefaultHTTPPort
	for claims(mc.Spec.Containers, port) || claims(mc.Spec.Containers, control.Port(port)) {
		port += 2
	}
	return port
}

func claims(containers []v1alpha2.MiniClusterContainer, port int32) bool {
	return slices.ContainsFunc(containers, func(c v1alpha2.MiniClusterContainer) bool { return slices.Contains(c.Ports, port) })
}

// containerPlans adds the part of the plan for each container.
func containerPlans(out *plan.Plan, mc *v1alpha2.MiniCluster) {
	flux := mc.FluxContainerIndex()
	for i := range mc.Spec.Containers {
		c := &mc.Spec.Containers[i]
		switch {
		case i == flux:
			out.Lead = programPlan(mc, c)
			out.Hooks = hooksPlan(c)
			out.Resources = HostResources(mc, c)
			if out.System {
				out.User = userPlan(c)
			}
		case Wrapped(c):
			out.Sidecars = append(out.Sidecars, sidecarPlan(mc, c))
		}
	}
}

// Wrapped reports whether the agent runs a sidecar. A sidecar without commands, or one that requests it, runs the
// entrypoint of its image instead.
func Wrapped(c *v1alpha2.MiniClusterContainer) bool {
	if c.NoWrapEntrypoint {
		return false
	}
	h := c.Commands
	return c.Command != "" || (h != nil && (h.Init != "" || h.ServicePre != "" || h.Script != "" || h.Post != ""))
}

func viewPlan(spec *v1alpha2.MiniClusterSpec) *plan.View {
	view := &plan.View{MountPath: MountPath(spec), Copied: true}
	if spec.Flux != nil && spec.Flux.Container != nil {
		view.Copied = !spec.Flux.Container.Disable
		view.PythonPath = spec.Flux.Container.PythonPath
	}
	return view
}

// brokerPlan returns the settings on the command line of a broker. If the user provides broker.toml, it contains a
// [tbon] table of the user or none, so the settings of the spec become attributes.
func brokerPlan(mc *v1alpha2.MiniCluster) (plan.Broker, error) {
	out := plan.Broker{LogLevel: v1alpha2.DefaultLogLevel}
	flux := mc.Spec.Flux
	if flux == nil {
		return out, nil
	}
	if flux.LogLevel != nil {
		out.LogLevel = *flux.LogLevel
	}
	out.Wrap = flux.Wrap
	out.DisableSocket = flux.DisableSocket
	out.Environment = maps.Clone(flux.Environment)
	out.SimpleScheduler = flux.Scheduler != nil && flux.Scheduler.Simple
	if flux.BrokerConfig == "" {
		return out, nil
	}
	out.OwnConfig = true
	tbon, err := TBONSettings(&mc.Spec)
	if err != nil || tbon == nil {
		return out, err
	}
	out.Attributes = tbon.attributes()
	return out, nil
}

// RunsProgram reports whether a cluster runs a program, and ends with it. An interactive one waits for work.
func RunsProgram(mc *v1alpha2.MiniCluster) bool {
	mode := Mode(mc)
	return mode != plan.ModeNone && mode != plan.ModeDiagnostics
}

// Mode returns how the lead of a cluster runs its command.
func Mode(mc *v1alpha2.MiniCluster) plan.Mode {
	index := mc.FluxContainerIndex()
	if index < 0 || index >= len(mc.Spec.Containers) {
		return plan.ModeNone
	}
	return programPlan(mc, &mc.Spec.Containers[index]).Mode
}

// programPlan returns the mode and the command of the program. An interactive cluster runs no command, and a cluster
// without a command is interactive.
func programPlan(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) plan.Program {
	out := plan.Program{Command: c.Command, BatchRaw: c.BatchRaw, Logs: c.Logs, Tasks: 1}
	if mc.Spec.Tasks != nil {
		out.Tasks = *mc.Spec.Tasks
	}
	if c.Commands != nil {
		out.Script, out.Prefix = c.Commands.Script, c.Commands.Prefix
	}
	if mc.Spec.Flux != nil {
		out.OptionFlags, out.SubmitCommand = mc.Spec.Flux.OptionFlags, mc.Spec.Flux.SubmitCommand
	}
	switch {
	case c.Diagnostics:
		out.Mode = plan.ModeDiagnostics
	case mc.Spec.Interactive || (out.Command == "" && out.Script == ""):
		out.Mode = plan.ModeNone
	case c.Batch:
		out.Mode = plan.ModeBatch
	case c.Launcher:
		out.Mode = plan.ModeLauncher
	default:
		out.Mode = plan.ModeSubmit
	}
	return out
}

func hooksPlan(c *v1alpha2.MiniClusterContainer) plan.Hooks {
	out := plan.Hooks{PreCommand: c.PreCommand}
	if h := c.Commands; h != nil {
		out.Init, out.Pre, out.BrokerPre, out.WorkerPre, out.Post = h.Init, h.Pre, h.BrokerPre, h.WorkerPre, h.Post
	}
	return out
}

func sidecarPlan(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer) plan.Sidecar {
	out := plan.Sidecar{Name: c.Name, Command: c.Command, WaitSocket: mc.Spec.Flux == nil || !mc.Spec.Flux.NoWaitSocket}
	if mc.Spec.Flux != nil && mc.Spec.Flux.DisableSocket {
		out.WaitSocket = false
	}
	if h := c.Commands; h != nil {
		out.Script, out.Init, out.ServicePre, out.Post = h.Script, h.Init, h.ServicePre, h.Post
	}
	if out.Command != "" || out.Script != "" {
		return out
	}
	// Only hooks: the last hook becomes the command of the sidecar, so that it ends with Flux.
	out.Script, out.Post = out.Post, ""
	if out.Script == "" {
		out.Command = "true"
	}
	return out
}

// loggingPlan sets the default of strict, which differs between the layouts.
func loggingPlan(mc *v1alpha2.MiniCluster, layout Layout) plan.Logging {
	l := mc.Spec.Logging
	if l == nil {
		return plan.Logging{}
	}
	strict := layout == LayoutSystem
	if l.Strict != nil {
		strict = *l.Strict
	}
	return plan.Logging{Quiet: l.Quiet, Strict: strict, Timed: l.Timed, Debug: l.Debug}
}

// userPlan returns the owner of the instance in the system layout: flux, unless the spec names another user or root.
func userPlan(c *v1alpha2.MiniClusterContainer) plan.User {
	if c.Commands != nil && c.Commands.RunFluxAsRoot {
		return plan.User{}
	}
	out := plan.User{Name: v1alpha2.DefaultFluxUser, UID: v1alpha2.DefaultFluxUID}
	if u := c.FluxUser; u != nil {
		if u.Name != "" {
			out.Name = u.Name
		}
		if u.UID != nil {
			out.UID = *u.UID
		}
	}
	return out
}
