package supervise

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/initial"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// leadAttempts is how many consecutive brokers may end early, without having started the initial program, before the
// pod fails.
const leadAttempts = 5

// lead runs the lead broker until its program has ended, or until the pod is asked to stop. A broker that ends earlier
// is restarted with the same state.
func (v *Supervisor) lead(ctx context.Context) (int, error) {
	lock, err := v.lockState(ctx)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	if err := v.prepareState(ctx); err != nil {
		return 0, pod.Exit(plan.ExitPrepare, err)
	}
	var wait backoff
	for first := true; !v.shutdown.Requested(); first = false {
		if !v.hibernate(ctx, first) {
			break
		}
		begin := time.Now()
		p, err := v.startLead()
		if err != nil {
			return 0, pod.Exit(plan.ExitBroker, err)
		}
		outcome, restart := v.awaitLead(ctx, p)
		if v.savedByBroker(ctx, p, outcome) {
			v.stopOrphans(ctx)
			continue
		}
		if restart && (outcome == nil || outcome.Stopped) {
			v.stopOrphans(ctx)
			continue
		}
		if code, done := v.leadCode(ctx, p.Status(), outcome); done {
			v.reportProgram(ctx)
			return code, nil
		}
		v.stopOrphans(ctx)
		delay := wait.next(time.Since(begin))
		v.brokerEnded(p.Status(), wait.early)
		if wait.early >= leadAttempts {
			return 0, pod.Exit(v.failureCode(), fmt.Errorf("the broker ended %d times in a row, the last time with %s", wait.early, v.describe(p.Status())))
		}
		klog.FromContext(ctx).Info("Restarting the lead broker, which ended before its program", "status", v.describe(p.Status()), "delay", delay)
		v.shutdown.Sleep(delay)
	}
	return plan.ExitStopped, nil
}

// startLead starts the lead broker.
func (v *Supervisor) startLead() (*reaper.Process, error) {
	run, err := v.leadRun()
	if err != nil {
		return nil, err
	}
	if err := pod.ReserveOutcome(v.outcomeFile(), v.brokerOwner()); err != nil {
		return nil, err
	}
	return v.startBroker(run)
}

// leadRun describes one run of the lead broker.
func (v *Supervisor) leadRun() (prepare.BrokerRun, error) {
	run := prepare.BrokerRun{CleanupTimeout: v.fluxTimeout(), ShutdownTimeout: v.fluxTimeout()}
	var err error
	if run.Quorum, err = v.currentQuorum(); err != nil {
		return run, err
	}
	v.quorum.started = run.Quorum
	if run.Restore, err = v.archiveToRestore(); err != nil {
		return run, err
	}
	v.hibernationRun(&run)
	v.programless = v.interactive() && run.Restore == "" && v.hibernation.Record() == nil
	if v.programless {
		run.Interactive = true
		return run, nil
	}
	run.Program, err = v.initialCommand(run.Restore)
	return run, err
}

// archiveToRestore returns the archive from which the broker starts, "" for none.
func (v *Supervisor) archiveToRestore() (string, error) {
	a := v.Plan.Archive
	if a.Path == "" && a.RestoreFrom == "" && len(a.Earlier) == 0 {
		return "", nil
	}
	var from archive.Sources
	if a.Path != "" {
		from.Own = v.Path(a.Path)
	}
	if a.RestoreFrom != "" {
		from.Other = v.Path(a.RestoreFrom)
	}
	for _, path := range a.Earlier {
		from.Earlier = append(from.Earlier, v.Path(path))
	}
	// A cluster that hibernates with one path may wake with another one that it has used before: it would continue with
	// jobs that have ended since.
	from.Newest = v.Plan.Incarnation != ""
	return archive.ToRestore(from, v.stateDir(), v.brokerOwner())
}

// initialCommand returns the command line of the initial program.
func (v *Supervisor) initialCommand(restore string) ([]string, error) {
	restored := restore != ""
	content, err := archive.HasContent(v.stateDir())
	if err != nil {
		return nil, err
	}
	o := initial.Options{
		State: v.stateDir(), Outcome: v.outcomeFile(), Cluster: v.cluster, Fresh: !content && !restored, Restored: restored,
		Stderr: v.stderr.Name(), Hibernation: v.hibernation.file,
	}
	o.Queues = v.queuesFile(restore)
	return v.SelfCommand(append([]string{initial.Subcommand}, o.Args()...)...), nil
}

// prepareState reads what identifies this lead, and the record of a hibernation that an earlier one left, and checks
// that this Flux can read its state.
func (v *Supervisor) prepareState(ctx context.Context) error {
	certificate, err := os.ReadFile(v.Path(plan.CertificateDir, plan.FileCertificate))
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	v.cluster = clusterID(certificate)
	if err := v.hibernation.load(); err != nil {
		return err
	}
	return v.guardContent(ctx)
}

// clusterID identifies the MiniCluster: all its pods have the same certificate, and no other MiniCluster has it. The ID
// reveals nothing about the key.
func clusterID(certificate []byte) string {
	sum := sha256.Sum256(append([]byte("minicluster\n"), certificate...))
	return hex.EncodeToString(sum[:8])
}

// awaitLead waits for the end of the lead broker. It stops the broker when the pod is asked to stop, or when the
// program has ended and the broker does not end by itself. It returns the outcome of the program as it was known before
// the request to stop, and whether it stopped the broker for a restart with a lower quorum.
func (v *Supervisor) awaitLead(ctx context.Context, p *reaper.Process) (outcome *pod.Outcome, restart bool) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var programEnd time.Time
	for {
		select {
		case <-p.Done():
			return v.readOutcome(), false
		case <-v.shutdown.Done():
			before := v.readOutcome()
			v.stopLead(ctx, p)
			return before, false
		case <-v.hibernation.changed:
			if v.stopForHibernation(ctx, p) {
				return v.readOutcome(), true
			}
		case <-v.quorum.changed:
		case <-ticker.C:
		}
		if v.restartForQuorum(ctx, p) {
			return v.readOutcome(), true
		}
		if out := v.readOutcome(); out == nil || out.Saving {
			continue
		}
		if programEnd.IsZero() {
			programEnd = time.Now()
		}
		if time.Since(programEnd) > v.shutdown.Grace() {
			klog.FromContext(ctx).Info("Stopping the broker, which does not end after its program")
			p.Stop(ctx, brokerReserve(v.shutdown.Grace()))
			return v.readOutcome(), false
		}
	}
}

// stopLead stops the lead broker. Its program is asked to stop at once, together with the tasks of jobs in this pod;
// the initial program then waits for the end of jobs. Without an initial program the broker would cancel them at once.
func (v *Supervisor) stopLead(ctx context.Context, p *reaper.Process) {
	v.pauseQueues(ctx)
	if v.programless {
		v.stopTasks(ctx, p, true)
		v.stopBroker(ctx, p)
		return
	}
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	tasks.Go(func() { v.stopTasks(ctx, p, true) })
	v.stopBroker(ctx, p)
	cancel()
	tasks.Wait()
}

// interactive reports whether the lead broker has no initial program.
func (v *Supervisor) interactive() bool {
	return v.Plan.Lead.Mode == plan.ModeNone && v.Plan.Archive.Path == ""
}

// outcomeFile returns the file with the outcome of the program.
func (v *Supervisor) outcomeFile() string {
	return v.Path(v.instance.Files.RunDir, "minicluster", "program.json")
}

// readOutcome returns the outcome of the program, nil while it runs.
func (v *Supervisor) readOutcome() *pod.Outcome {
	uid := os.Geteuid()
	if owner := v.brokerOwner(); owner != nil {
		uid = owner.UID
	}
	return pod.ReadOutcome(v.outcomeFile(), uid)
}

// Forward sends a signal to the initial program, which forwards it to the user's program. Flux brokers would end, and
// so would an initial program that does not handle signals yet.
func (v *Supervisor) Forward(sig syscall.Signal) { v.signalInitial(sig) }

// signalInitial sends a signal to the initial program, and reports whether one exists that handles the signal.
func (v *Supervisor) signalInitial(sig syscall.Signal) bool {
	found := false
	for pid, p := range reaper.Processes() {
		if broker := int(v.broker.Load()); broker != 0 && p.Parent == broker && isInitial(pid) && reaper.Catches(pid, sig) {
			found = true
			_ = reaper.Kill(pid, sig) // it fails if the program has just ended
		}
	}
	return found
}

// codeOfShutdown returns the exit code of the pod when a user has stopped the instance from inside (flux shutdown), and
// with it the program: the end of the program by the signal is intended.
func codeOfShutdown(program int) int {
	const signaled = 128
	switch syscall.Signal(program - signaled) {
	case syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL:
		return 0
	}
	return program
}

// reportProgram logs how the program ended that the request to stop the pod ended.
func (v *Supervisor) reportProgram(ctx context.Context) {
	out := v.readOutcome()
	if out == nil || !out.Stopped || !v.shutdown.Requested() || v.interactive() || v.Plan.Lead.Mode == plan.ModeNone {
		return
	}
	v.stoppedCode = &out.Code
	klog.FromContext(ctx).Info("The program was stopped before it had ended", "programExitCode", out.Code)
}

// leadCode returns the exit code of the lead's pod after the end of its broker, and whether there is nothing left to
// do. The code is that of the program: a failure while Flux stops does not change the result of the work.
func (v *Supervisor) leadCode(ctx context.Context, broker reaper.Status, out *pod.Outcome) (code int, done bool) {
	switch {
	case (out == nil || out.Stopped) && !v.shutdown.Requested() && v.log.ModuleFailed():
		return 0, false // not by a user
	case out != nil && out.Stopped && !v.shutdown.Requested():
		return codeOfShutdown(out.Code), true
	case out != nil && !out.Stopped:
		if broker.Code() != out.Code {
			klog.FromContext(ctx).Info("The broker and its program ended differently", "broker", broker.String(), "program", out.Code)
		}
		return out.Code, true
	case v.shutdown.Requested():
		return plan.ExitStopped, true
	case v.Plan.Lead.Mode == plan.ModeNone && broker.Code() == 0:
		return 0, true // flux shutdown
	default:
		return 0, false
	}
}
