// Package initial is the initial program of the lead broker: it prepares the instance for the user's program, runs that
// program, records how it ended, and saves the instance.
//
// The broker asks it to stop with SIGHUP, and waits for it before Flux stops any service: until then jobs can be
// listed and saved. A new mode of the program belongs in submit.go. Do not stop or restart a broker here: package
// supervise does.
package initial

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/brokerlog"
	"minicluster.internal/operator/pkg/agent/jobs"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Subcommand is the subcommand of the agent that calls Run.
const Subcommand = "initial"

// Options are what the agent that starts the broker passes to the initial program.
type Options struct {
	// State is the state directory.
	State string
	// Outcome is the file for the outcome of the program.
	Outcome string
	// Cluster identifies the MiniCluster.
	Cluster string
	// Fresh: the instance is new.
	Fresh bool
	// Restored: the instance was restored from an archive.
	Restored bool
	// Stderr is the name of the brokerlog.Stream with the standard error of the container.
	Stderr string
	// Hibernation is the file with the record of a hibernation, if there is one.
	Hibernation string
	// Queues is the file with the record that has the former state of the queues; "" to start all of a restored
	// instance.
	Queues string
}

// AddFlags adds the options to a set of flags.
func (o *Options) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.State, "state", "", "the state directory")
	flags.StringVar(&o.Outcome, "outcome", "", "the file for the outcome of the program")
	flags.StringVar(&o.Cluster, "cluster", "", "identifies the MiniCluster")
	flags.BoolVar(&o.Fresh, "fresh", false, "the instance is new")
	flags.StringVar(&o.Stderr, "stderr", "", "where to get the standard error of the container")
	flags.StringVar(&o.Hibernation, "hibernation", "", "the file with the record of a hibernation")
	flags.StringVar(&o.Queues, "queues", "", "the file with the former state of the queues")
	flags.BoolVar(&o.Restored, "restored", false, "the instance was restored from an archive")
}

// Args returns the options as arguments.
func (o *Options) Args() []string {
	args := []string{"--state", o.State, "--outcome", o.Outcome, "--cluster", o.Cluster, "--stderr", o.Stderr}
	if o.Fresh {
		args = append(args, "--fresh")
	}
	if o.Restored {
		args = append(args, "--restored")
	}
	if o.Hibernation != "" {
		args = append(args, "--hibernation", o.Hibernation)
	}
	if o.Queues != "" {
		args = append(args, "--queues", o.Queues)
	}
	return args
}

// runner runs the user's program.
type runner struct {
	*pod.Pod
	outcome string
}

// Run runs the initial program, and returns its exit code.
func Run(ctx context.Context, p *pod.Pod, s *shutdown.Shutdown, o Options) int {
	// A killed broker leaves this process without an instance.
	if !reaper.SignalAtParentsEnd(os.Getppid(), shutdown.ParentDeathSignal) {
		return plan.ExitBroker
	}
	if err := brokerlog.Receive(o.Stderr); err != nil {
		// The program then shares the standard error of the broker, which the agent filters.
		klog.FromContext(ctx).Error(err, "Failed to receive the standard error of the container")
	}
	r := &runner{Pod: p, outcome: o.Outcome}
	withheld := r.hibernation(ctx, o).Pending()
	if err := r.prepareInstance(ctx, s, o, withheld); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to prepare the instance for the program")
	}
	r.ensureTemporaryDir(ctx)
	saver := r.newSaver()
	stopSaving := saver.Periodically(ctx)
	out := r.runUnless(ctx, s, withheld)
	stopSaving()
	if r.brokerLost(ctx, s, out) {
		return plan.ExitBroker
	}
	if h := r.hibernation(ctx, o); h != nil && h.State.Phase == control.PhaseSaving {
		r.recordJobs(ctx, s) // a hibernation may discard them
		r.recordOutcome(ctx, out)
		return 0 // the broker saves the instance, and its exit code is the result of that
	}
	out.Saving = p.Plan.Archive.Path != ""
	r.recordOutcome(ctx, out)
	if s.Requested() {
		r.waitForJobs(ctx, s)
	}
	if err := saver.SaveAtEnd(ctx, s); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to save the instance", "archive", p.Plan.Archive.Path)
		p.TerminationMessage(fmt.Sprintf("the instance was not saved to %s: %v", p.Plan.Archive.Path, err))
	}
	r.recordJobs(ctx, s)
	out.Saving = false
	r.recordOutcome(ctx, out)
	return out.Code
}

// prepareInstance prepares the instance for the program, unless the pod is asked to stop in the meantime.
func (r *runner) prepareInstance(ctx context.Context, s *shutdown.Shutdown, o Options, withheld bool) error {
	ctx, cancel := s.Context(ctx)
	defer cancel()
	if withheld {
		if o.Restored {
			return archive.Restored(o.State)
		}
		return nil
	}
	return r.readyInstance(ctx, o)
}

// waitForJobs waits for the end of running jobs while the pod stops, until only the reserve of the grace period
// remains: the agents of all pods have asked the tasks to stop, and tasks may write a checkpoint.
func (r *runner) waitForJobs(ctx context.Context, s *shutdown.Shutdown) {
	ctx, cancel := context.WithTimeout(ctx, s.Remaining(s.Reserve()))
	defer cancel()
	busy, err := jobs.WaitIdle(ctx, r.fluxURI(), -1, nil)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Failed to wait for the end of jobs")
	} else if busy {
		klog.FromContext(ctx).Info("Jobs do not end in time and are canceled")
	}
}

// fluxURI returns the URI of the broker.
func (r *runner) fluxURI() string {
	for _, entry := range r.Environ {
		if uri, ok := strings.CutPrefix(entry, "FLUX_URI="); ok {
			return uri
		}
	}
	return ""
}

// ensureTemporaryDir sets TMPDIR if the directory for temporary files is not writable: instances in jobs (flux batch,
// flux alloc) make their run directories in it. The run directory of the broker is at the same path in all pods.
func (r *runner) ensureTemporaryDir(ctx context.Context) {
	dir := r.Getenv("TMPDIR")
	if dir == "" {
		dir = "/tmp"
	}
	if unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
		return
	}
	if rundir, err := r.fluxOutput(ctx, "getattr", "rundir"); err == nil {
		r.Environ = append(r.Environ, "TMPDIR="+strings.TrimSpace(rundir))
	}
}

// newSaver makes the saver of the plan's archive.
func (r *runner) newSaver() *archive.Saver {
	v := &archive.Saver{Period: time.Duration(r.Plan.Archive.PeriodSeconds) * time.Second, Flux: r.fluxCommand}
	if file := r.Plan.Archive.Path; file != "" {
		v.File = r.Path(file)
	}
	return v
}

// recordOutcome records how the program ended, for the agent that started the broker.
func (r *runner) recordOutcome(ctx context.Context, out pod.Outcome) {
	if err := pod.WriteOutcome(r.outcome, out); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to record the exit code of the program", "exitCode", out.Code)
		r.TerminationMessage(fmt.Sprintf("failed to record the exit code of the program, %d: %v", out.Code, err))
	}
}

// brokerLost reports whether the program ended because its broker did: that says nothing about the work. A program that
// succeeds without a broker has done its work.
func (r *runner) brokerLost(ctx context.Context, s *shutdown.Shutdown, out pod.Outcome) bool {
	if s.Signal() == shutdown.ParentDeathSignal {
		return true
	}
	if out.Code == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.fluxCommand(ctx, "getattr", "rank") != nil
}
