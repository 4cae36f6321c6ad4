package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/initial"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agent/sidecar"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

const usage = `minicluster-agent runs in the pods of a MiniCluster.

For people, in the container that runs Flux:
  flux -- ARGS...            run a flux command against the broker of this pod, for example
                             kubectl exec POD -- /opt/minicluster/bin/minicluster-agent flux -- resource list
  metric set NAME VALUE      set a metric of the application for autoscalers; metric unset NAME removes it. Only in
                             the pod of the lead broker

For the pods themselves:
  install                    copy this program to the directory that the containers of the pod share
  view [--image DIR]         copy Flux to the directory that the containers of the pod share
  run [--image-volumes]      prepare, start, supervise and stop the Flux broker
  initial                    the initial program of the lead broker
  sidecar --container NAME   run the command of a container beside Flux, until Flux ends
  save-state FILE            save the environment and the working directory of a hook
  flux-client -- ARGS...     as flux, but in the instance of FLUX_URI if that is set; the command flux of the container
`

// fluxName is the name of the link to the agent that replaces the command flux for processes that are started from
// outside.
const fluxName = "flux"

// fluxClient is the subcommand that runs a flux command, in the instance of the process that starts it if there is
// one.
const fluxClient = "flux-client"

// exitUsage is the exit code for an invalid command line.
const exitUsage = 2

// agent is one run of the program.
type agent struct {
	*pod.Pod
	shutdown *shutdown.Shutdown
	// listener gets the probes of the kubelet; nil if it could not be opened yet.
	listener net.Listener
}

// options are the flags of subcommands.
type options struct {
	container, image string
	imageVolumes     bool
	initial          initial.Options
}

// commands returns the subcommands of usage.
func commands() []string {
	return []string{"flux", "install", "view", "run", initial.Subcommand, "sidecar", hooks.SaveCommand, fluxClient, metricCommand}
}

// Run runs the agent with its name and arguments, and returns its exit code. Under the name flux it is that command,
// for the broker of the pod.
func Run(argv []string) int {
	if len(argv) > 0 && filepath.Base(argv[0]) == fluxName {
		return execute(append([]string{fluxClient, "--"}, argv[1:]...))
	}
	return execute(argv[min(1, len(argv)):])
}

// execute runs the agent with the arguments after its name, and returns its exit code.
func execute(args []string) int {
	a := &agent{
		Pod:      &pod.Pod{Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr},
		shutdown: shutdown.Listen(),
	}
	if len(args) == 0 {
		fmt.Fprint(a.Stderr, usage)
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch {
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, name):
		fmt.Fprint(a.Stdout, usage)
		return 0
	case !slices.Contains(commands(), name):
		fmt.Fprintf(a.Stderr, "minicluster-agent: unknown command %q: use one of %s\n", name, strings.Join(commands(), ", "))
		return exitUsage
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(a.Stderr)
	flags.StringVar(&a.Root, "root", "/", "a directory that replaces /, for tests")
	var o options
	switch name {
	case "run":
		addImageVolumes(flags, &o)
	case "sidecar":
		addImageVolumes(flags, &o)
		flags.StringVar(&o.container, "container", "", "name of the container")
	case "view":
		flags.StringVar(&o.image, "image", "", "where the image of the view is mounted")
	case initial.Subcommand:
		o.initial.AddFlags(flags)
	}
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	return a.command(context.Background(), name, flags.Args(), o)
}

func addImageVolumes(flags *flag.FlagSet, o *options) {
	flags.BoolVar(&o.imageVolumes, "image-volumes", false, "the images of the agent and of the view are mounted; no init container has run")
}

func (a *agent) command(ctx context.Context, name string, args []string, o options) (code int) {
	defer func() {
		// Otherwise the runtime would end the process with exit code 2, which is that of an application.
		if r := recover(); r != nil {
			code = a.fatal(ctx, pod.Exit(plan.ExitBroker, fmt.Errorf("panic: %v\n%s", r, debug.Stack())))
		}
	}()
	var err error
	if a.Program, err = os.Executable(); err != nil {
		return a.fatal(ctx, pod.Exit(plan.ExitPrepare, fmt.Errorf("finding this program: %w", err)))
	}
	switch name {
	case "install":
		if err := a.install(); err != nil {
			return a.fatal(ctx, pod.Exit(1, err))
		}
		return 0
	case hooks.SaveCommand:
		return a.saveState(args)
	}
	if err := a.readPlan(); err != nil {
		return a.fatal(ctx, pod.Exit(plan.ExitPrepare, err))
	}
	a.shutdown.SetGrace(time.Duration(a.Plan.GracePeriodSeconds) * time.Second)
	a.shutdown.SetElapsed(a.preStopTime(time.Now()))
	if a.Plan.Logging.Quiet {
		ctx = klog.NewContext(ctx, logr.Discard())
	}
	if name == "run" {
		a.listen(ctx)
	}
	if o.imageVolumes {
		if err := a.useMountedImages(ctx, name == "run"); err != nil {
			return a.fatal(ctx, pod.Exit(plan.ExitPrepare, err))
		}
	}
	switch name {
	case "run":
		return a.run(ctx)
	case initial.Subcommand:
		return initial.Run(ctx, a.Pod, a.shutdown, o.initial)
	case "sidecar":
		code, err := sidecar.Run(ctx, a.Pod, a.shutdown, o.container)
		if err != nil {
			return a.fatal(ctx, err)
		}
		return code
	case "view":
		return a.view(ctx, o.image)
	case "flux", fluxClient:
		return a.flux(ctx, args, name == fluxClient)
	case metricCommand:
		return a.metric(args)
	default: // commands has no other
		return exitUsage
	}
}

// preStopTime returns a function that returns how long before the request to stop the first preStop hook of the pod
// started. A hook of an earlier run of a container does not count: Kubernetes removes the file with the pod only. The
// clock of the file may be set while the agent runs, so how long the agent has run is compared, not when it started.
func (a *agent) preStopTime(start time.Time) func(at time.Time) time.Duration {
	var once sync.Once
	var elapsed time.Duration
	return func(at time.Time) time.Duration {
		once.Do(func() {
			info, err := os.Stat(a.File(plan.FilePreStop))
			if err != nil {
				return // there is no hook
			}
			if before := at.Sub(info.ModTime()); before > 0 && before < at.Sub(start) {
				elapsed = min(before, a.shutdown.Grace())
			}
		})
		return elapsed
	}
}

// saveState saves what a hook exported, at the end of its shell.
func (a *agent) saveState(args []string) int {
	if len(args) != 2 {
		return exitUsage
	}
	if err := hooks.SaveState(args[0], args[1] != ""); err != nil {
		fmt.Fprintln(a.Stderr, "minicluster-agent:", err)
		return 1
	}
	return 0
}

func (a *agent) readPlan() error {
	text, err := os.ReadFile(a.Path(plan.ConfigDir, plan.FilePlan))
	if err != nil {
		return fmt.Errorf("reading the agent's plan: %w", err)
	}
	a.Plan, err = plan.Parse(text)
	return err
}

// fatal reports why the agent ends, and returns the exit code. In quiet mode the log belongs to the application, and
// the reason goes to Kubernetes only.
func (a *agent) fatal(ctx context.Context, err error) int {
	code := plan.ExitPrepare
	var e *pod.ExitError
	if errors.As(err, &e) {
		code = e.Code
	}
	if e == nil || e.Err != nil {
		klog.FromContext(ctx).Error(err, "The agent failed", "exitCode", code)
		a.TerminationMessage(err.Error())
	}
	return code
}
