package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

const usage = `minicluster-agent runs in the pods of a MiniCluster.

For people, in the container that runs Flux:
  flux -- ARGS...            run a flux command against the broker of this pod, for example
                             kubectl exec POD -- /opt/minicluster/bin/minicluster-agent flux -- resource list

For the pods themselves:
  install                    copy this program to the directory that the containers of the pod share
  view [--image DIR]         bring Flux to the directory that the containers of the pod share
  run                        prepare, start, supervise and stop the Flux broker
  initial                    what the lead broker runs first
  sidecar --container NAME   run the command of a container beside Flux, as long as Flux runs
`

// commands are those of usage.
var commands = []string{"flux", "install", "view", "run", "initial", "sidecar"}

// agent is one run of the program.
type agent struct {
	// root stands for / where the agent looks for its own files: plan, certificate,
	// markers. It is "/" in a pod, and another directory in tests.
	root string
	// program is the path of this program.
	program string
	plan    *plan.Plan
	environ []string

	stdin, stdout, stderr *os.File
}

// options are the flags of subcommands.
type options struct {
	container, image string
	// Facts that the initial program is told: the state directory, the MiniCluster,
	// whether there was an instance's content before, or an archive of one.
	state, cluster  string
	fresh, restored bool
}

// Main runs the agent with the arguments after its name, and returns its exit code.
func Main(args []string) int {
	a := &agent{environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if len(args) == 0 {
		fmt.Fprint(a.stderr, usage)
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch {
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, name):
		fmt.Fprint(a.stdout, usage)
		return 0
	case !slices.Contains(commands, name):
		fmt.Fprintf(a.stderr, "minicluster-agent: there is no command %q: use one of %s\n", name, strings.Join(commands, ", "))
		return exitUsage
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(a.stderr)
	flags.StringVar(&a.root, "root", "/", "a directory that stands for /, for tests")
	var o options
	switch name {
	case "sidecar":
		flags.StringVar(&o.container, "container", "", "name of the container")
	case "view":
		flags.StringVar(&o.image, "image", "", "where the image of the view is mounted")
	case "initial":
		flags.StringVar(&o.state, "state", "", "the state directory")
		flags.StringVar(&o.cluster, "cluster", "", "identifies the MiniCluster")
		flags.BoolVar(&o.fresh, "fresh", false, "the instance is new")
		flags.BoolVar(&o.restored, "restored", false, "the instance was restored from an archive")
	}
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	return a.command(context.Background(), name, flags.Args(), o)
}

func (a *agent) command(ctx context.Context, name string, args []string, o options) int {
	program, err := os.Executable()
	if err != nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, fmt.Errorf("finding this program: %w", err)))
	}
	a.program = program
	if name == "install" {
		if err := a.install(); err != nil {
			return a.fatal(ctx, exit(1, err))
		}
		return 0
	}
	if err := a.readPlan(); err != nil {
		return a.fatal(ctx, exit(plan.ExitPrepare, err))
	}
	if a.plan.Logging.Quiet {
		ctx = klog.NewContext(ctx, logr.Discard())
	}
	switch name {
	case "run":
		return a.run(ctx)
	case "initial":
		return a.initial(ctx, o)
	case "sidecar":
		return a.sidecar(ctx, o.container)
	case "view":
		return a.view(ctx, o.image)
	case "flux":
		return a.flux(ctx, args)
	default: // commands has no other
		return exitUsage
	}
}

// path is where a file of the agent is.
func (a *agent) path(elem ...string) string {
	return filepath.Join(append([]string{a.root}, elem...)...)
}

func (a *agent) readPlan() error {
	text, err := os.ReadFile(a.path(plan.ConfigDir, plan.FilePlan))
	if err != nil {
		return fmt.Errorf("reading the agent's plan: %w", err)
	}
	a.plan, err = plan.Parse(text)
	return err
}

// self is a command line of this program.
func (a *agent) self(args ...string) []string {
	out := []string{a.program, args[0]}
	if a.root != "/" {
		out = append(out, "--root", a.root)
	}
	return append(out, args[1:]...)
}

// fatal tells why the agent ends, and how. In quiet mode the log belongs to the
// application, so only Kubernetes is told.
func (a *agent) fatal(ctx context.Context, err error) int {
	code := plan.ExitPrepare
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	if !e.toldAlready() {
		klog.FromContext(ctx).Error(err, "The agent ends", "exitCode", code)
		a.terminationMessage(err.Error())
	}
	return code
}
