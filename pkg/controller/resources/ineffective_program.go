package resources

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Reasons why the settings of a program have no effect.
const (
	interactiveReason = "an interactive cluster runs no program"
	noCommandReason   = "without a command, the cluster is interactive and runs no program"
	diagnosticsReason = "diagnostics runs no program"
	launcherReason    = "with launcher, the command submits its own jobs"
	batchReason       = "with batch, flux batch submits the command"
)

// ofMode adds the settings of a program that its mode does not use.
func (e *ineffective) ofMode(mc *v1alpha2.MiniCluster, f Fixed, c *v1alpha2.MiniClusterContainer, path *field.Path) {
	switch fluxconfig.Mode(mc) {
	case plan.ModeNone:
		why := noCommandReason
		if mc.Spec.Interactive {
			why = interactiveReason
		}
		e.ofNoProgram(mc, c, path, why)
	case plan.ModeDiagnostics:
		e.ofNoProgram(mc, c, path, diagnosticsReason)
	case plan.ModeLauncher:
		// The system layout passes optionFlags on in FLUX_OPTION_FLAGS.
		e.ofJob(mc, launcherReason, f.Layout == fluxconfig.LayoutView)
	case plan.ModeBatch:
		e.add(mc.Spec.Flux != nil && mc.Spec.Flux.SubmitCommand != "", field.NewPath("spec", "flux", "submitCommand"), batchReason)
	case plan.ModeSubmit:
	}
}

// ofNoProgram adds all settings of a program.
func (e *ineffective) ofNoProgram(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, path *field.Path, why string) {
	e.ofJob(mc, why, true)
	e.add(c.Logs != "", path.Child("logs"), why)
	e.add(c.Launcher, path.Child("launcher"), why)
	e.add(c.Batch, path.Child("batch"), why)
	e.add(c.Commands != nil && c.Commands.Prefix != "", path.Child("commands", "prefix"), why)
}

// ofJob adds the settings of the job that the agent submits for the program.
func (e *ineffective) ofJob(mc *v1alpha2.MiniCluster, why string, options bool) {
	e.add(mc.Spec.Tasks != nil && *mc.Spec.Tasks != 1, field.NewPath("spec", "tasks"), why)
	if flux := mc.Spec.Flux; flux != nil {
		e.add(flux.OptionFlags != "" && options, field.NewPath("spec", "flux", "optionFlags"), why)
		e.add(flux.SubmitCommand != "", field.NewPath("spec", "flux", "submitCommand"), why)
	}
	e.add(mc.Spec.Logging != nil && mc.Spec.Logging.Debug, field.NewPath("spec", "logging", "debug"), why)
}
