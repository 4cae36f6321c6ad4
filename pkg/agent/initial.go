package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// programPatience is how long the user's program has to end when it is told to.
const programPatience = 10 * time.Second

// orphanSignal tells the initial program that its broker has ended.
const orphanSignal = syscall.SIGUSR2

// initial is the lead broker's initial program: it makes the instance ready for
// the user's program, runs that, keeps how it ended, and saves the instance.
//
// The broker tells it to stop by SIGHUP, and waits for it before anything of Flux
// stops: jobs can still be looked at and saved.
func (a *agent) initial(ctx context.Context, o options) int {
	grace := time.Duration(a.plan.GracePeriodSeconds) * time.Second
	s := newStop(ctx, grace, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, orphanSignal)
	// A broker that is killed leaves this process behind, with nothing to talk to.
	if !reaper.SignalAtParentsEnd(os.Getppid(), orphanSignal) {
		return plan.ExitBroker
	}
	if err := a.readyInstance(ctx, o); err != nil {
		klog.FromContext(ctx).Error(err, "The instance could not be made ready for the program")
	}
	saver := a.newSaver()
	stopSaving := saver.periodically(ctx)
	out := a.runProgram(ctx, s)
	stopSaving()
	if a.brokerLost(ctx, s, out) {
		return plan.ExitBroker
	}
	a.recordOutcome(ctx, out, a.plan.Archive.Path != "")
	if err := saver.saveAtEnd(ctx, s); err != nil {
		klog.FromContext(ctx).Error(err, "The instance was not saved", "archive", a.plan.Archive.Path)
		a.terminationMessage(fmt.Sprintf("the instance was not saved to %s: %v", a.plan.Archive.Path, err))
	}
	a.recordOutcome(ctx, out, false)
	return out.Code
}

// brokerLost tells whether the program ended because its broker did: that says
// nothing about the work. A program that does well without a broker has done its
// work.
func (a *agent) brokerLost(ctx context.Context, s *stop, out outcome) bool {
	if s.Told() && s.signal == orphanSignal {
		return true
	}
	if out.Code == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return a.fluxCommand(ctx, "getattr", "rank") != nil
}

// runProgram runs the user's program, or waits where there is none.
func (a *agent) runProgram(ctx context.Context, s *stop) outcome {
	words, err := a.programWords(ctx)
	if err != nil {
		fmt.Fprintln(a.stderr, "minicluster-agent:", err)
		return outcome{Code: plan.ExitPrepare, Stopped: s.Told()}
	}
	if words == nil {
		if a.plan.Lead.Mode == plan.ModeDiagnostics {
			a.diagnose(ctx)
		}
		<-s.Done
		return outcome{Stopped: true}
	}
	begin := time.Now()
	code := a.runWords(ctx, s, words)
	if a.plan.Logging.Timed {
		fmt.Fprintln(a.stderr, "FLUXTIME fluxsubmit wall time", wallTime(time.Since(begin)))
	}
	return outcome{Code: code, Stopped: s.Told()}
}

// runWords runs a program in the foreground, and passes the order to stop on: to all
// of its process group, since a shell would not.
func (a *agent) runWords(ctx context.Context, s *stop, words []string) int {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = a.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	// In a group of its own, it could not read from a terminal.
	group := !isTerminal(a.stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(a.stderr, "minicluster-agent:", err)
		return exitNotStarted(err)
	}
	to := cmd.Process.Pid
	if group {
		to = -to
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its status is looked at below
	}()
	select {
	case <-ended:
	case <-s.Done:
		_ = syscall.Kill(to, syscall.SIGTERM)
		timer := time.NewTimer(min(programPatience, s.grace/3))
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			_ = syscall.Kill(to, syscall.SIGKILL)
			<-ended
		}
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return cmd.ProcessState.ExitCode()
	}
	return reaper.Status(status).Code()
}

// isTerminal tells whether a file is one, ioctl_tty(2).
func isTerminal(f *os.File) bool {
	var size [4]uint16
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return errno == 0
}

// diagnose prints what the broker knows of itself and its followers.
func (a *agent) diagnose(ctx context.Context) {
	for _, args := range [][]string{{"overlay", "status"}, {"lsattr", "-v"}, {"dmesg"}} {
		cmd := exec.CommandContext(ctx, "flux", args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = a.environ, a.stdout, a.stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(a.stderr, "minicluster-agent: flux", args[0]+":", err)
		}
	}
}

// wallTime writes a duration as time(1) does for %E.
func wallTime(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())%60
	if hours > 0 {
		return fmt.Sprintf("%d:%02d:%02d", hours, minutes, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%05.2f", minutes, (d - time.Duration(minutes)*time.Minute).Truncate(10*time.Millisecond).Seconds())
}
