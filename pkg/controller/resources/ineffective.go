package resources

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// ineffective collects fields that are valid and have no effect, each with the reason.
type ineffective struct{ lines []string }

func (e *ineffective) add(set bool, path *field.Path, why string) {
	if set {
		e.lines = append(e.lines, path.String()+": "+why)
	}
}

// IneffectiveFields returns the fields of a valid MiniCluster that have no effect, or only a part of it, each with
// the reason. No field of the spec is ignored silently.
func IneffectiveFields(mc *v1alpha2.MiniCluster, f Fixed, env Environment) []string {
	var e ineffective
	path := field.NewPath("spec")
	e.add(mc.Spec.FluxRestful != nil, path.Child("fluxRestful"), "the RESTful server no longer exists; run one as a sidecar")
	e.add(mc.Spec.Lead != nil && LeadElsewhere(mc), path.Child("lead"), "the lead broker is in another cluster")
	e.ofFlux(mc, f, path.Child("flux"))
	for i := range mc.Spec.Containers {
		at := path.Child("containers").Index(i)
		c := &mc.Spec.Containers[i]
		if i == mc.FluxContainerIndex() {
			e.ofFluxContainer(mc, f, c, at)
		} else {
			e.ofSidecar(c, env, at)
		}
		e.ofContainer(c, at)
	}
	for i := range mc.Spec.Services {
		at := path.Child("services").Index(i)
		e.ofFluxOnly(&mc.Spec.Services[i], at)
		e.ofContainer(&mc.Spec.Services[i], at)
		e.hooks(mc.Spec.Services[i].Commands, at, "containers of the services pod only run their command", "init", "servicePre", "post", "script")
	}
	for _, name := range distributePodResources(mc, env).unused {
		e.add(true, path.Child("pod", "resources").Key(string(name)), "the containers request this resource themselves, or more of it")
	}
	return e.lines
}

func (e *ineffective) ofFlux(mc *v1alpha2.MiniCluster, f Fixed, path *field.Path) {
	flux := mc.Spec.Flux
	if flux == nil {
		return
	}
	e.add(flux.Arch != "", path.Child("arch"), "the image determines the architecture")
	e.add(flux.CurveCert != "" && flux.CurveCertSecret != "", path.Child("curveCert"), "curveCertSecret takes precedence")
	e.add(flux.Container != nil && f.Layout == fluxconfig.LayoutSystem, path.Child("container"),
		"in the system layout (installRoot) Flux is in the image of the Flux container")
	if scheduler := flux.Scheduler; scheduler != nil && scheduler.QueuePolicy != "" {
		policy := path.Child("scheduler", "queuePolicy")
		e.add(flux.BrokerConfig != "", policy, "brokerConfig replaces the whole configuration")
		e.add(flux.BrokerConfig == "" && scheduler.Simple, policy, "with simple, Fluxion is not used")
	}
	if f.Layout == fluxconfig.LayoutView {
		e.ofView(flux.Container, path.Child("container"))
	}
}

func (e *ineffective) ofFluxContainer(mc *v1alpha2.MiniCluster, f Fixed, c *v1alpha2.MiniClusterContainer, path *field.Path) {
	e.add(c.Name != "" && mc.Name != "" && c.Name != mc.Name, path.Child("name"), "the container that runs Flux has the name of the MiniCluster")
	program := c.Command != "" || (c.Commands != nil && c.Commands.Script != "")
	text := path.Child("command")
	if c.Command == "" {
		text = path.Child("commands", "script")
	}
	e.add(program && mc.Spec.Interactive, text, interactiveReason)
	e.add(program && c.Diagnostics && !mc.Spec.Interactive, text, diagnosticsReason)
	e.ofMode(mc, f, c, path)
	e.add(c.BatchRaw && !c.Batch, path.Child("batchRaw"), "needs batch")
	e.add(c.NoWrapEntrypoint, path.Child("noWrapEntrypoint"), "the container that runs Flux runs the agent")
	e.hooks(c.Commands, path, "applies to sidecars only", "servicePre")
	if f.Layout == fluxconfig.LayoutView {
		const why = "in the view layout, Flux runs as the user of its container"
		e.add(c.FluxUser != nil, path.Child("fluxUser"), why)
		e.add(c.Commands != nil && c.Commands.RunFluxAsRoot, path.Child("commands", "runFluxAsRoot"), why)
	}
}

func (e *ineffective) ofSidecar(c *v1alpha2.MiniClusterContainer, env Environment, path *field.Path) {
	e.ofFluxOnly(c, path)
	if fluxconfig.Wrapped(c) {
		return
	}
	const why = "the container runs the entrypoint of its image"
	e.add(c.Command != "", path.Child("command"), why)
	e.hooks(c.Commands, path, why, "init", "servicePre", "post", "script")
	e.add(!env.AtLeast(minorNativeSidecars), path,
		"Kubernetes before 1.29 cannot stop a container without a command when Flux ends; the pod, and therefore the cluster, never completes")
}

// ofFluxOnly adds fields that only apply to the Flux container.
func (e *ineffective) ofFluxOnly(c *v1alpha2.MiniClusterContainer, path *field.Path) {
	const why = "applies to the container that runs Flux only"
	e.add(c.Launcher, path.Child("launcher"), why)
	e.add(c.Batch, path.Child("batch"), why)
	e.add(c.BatchRaw, path.Child("batchRaw"), why)
	e.add(c.Logs != "", path.Child("logs"), why)
	e.add(c.Diagnostics, path.Child("diagnostics"), why)
	e.add(c.Cores != 0, path.Child("cores"), why)
	e.add(c.FluxUser != nil, path.Child("fluxUser"), why)
	e.add(c.PreCommand != "", path.Child("preCommand"), why)
	e.hooks(c.Commands, path, why, "pre", "brokerPre", "workerPre", "prefix")
	e.add(c.Commands != nil && c.Commands.RunFluxAsRoot, path.Child("commands", "runFluxAsRoot"), why)
}

// hooks adds those of the named hooks that are set.
func (e *ineffective) hooks(c *v1alpha2.Commands, path *field.Path, why string, names ...string) {
	if c == nil {
		return
	}
	given := map[string]string{
		"init": c.Init, "pre": c.Pre, "brokerPre": c.BrokerPre, "workerPre": c.WorkerPre,
		"servicePre": c.ServicePre, "post": c.Post, "prefix": c.Prefix, "script": c.Script,
	}
	for _, name := range names {
		e.add(given[name] != "", path.Child("commands", name), why)
	}
}
