package initial

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// runProgram runs the user's program, or waits if there is none.
func (r *runner) runProgram(ctx context.Context, s *shutdown.Shutdown) pod.Outcome {
	untilStop, cancel := s.Context(ctx)
	defer cancel()
	words, err := r.programWords(untilStop)
	switch {
	case err != nil && s.Requested():
		return pod.Outcome{Code: plan.ExitStopped, Stopped: true}
	case err != nil:
		r.report(err)
		return pod.Outcome{Code: plan.ExitSpec}
	case words == nil:
		if r.Plan.Lead.Mode == plan.ModeDiagnostics {
			r.diagnose(untilStop)
		}
		<-s.Done()
		return pod.Outcome{Stopped: true}
	}
	begin := time.Now()
	code := r.runWords(ctx, s, words)
	if r.Plan.Logging.Timed {
		fmt.Fprintln(r.Stderr, "FLUXTIME fluxsubmit wall time", pod.WallTime(time.Since(begin)))
	}
	return pod.Outcome{Code: code, Stopped: s.Requested()}
}

// lostTimeout is how long the program may take to end when its broker has ended. The next broker waits for that.
const lostTimeout = 10 * time.Second

// report prints why the program does not run, and tells Kubernetes.
func (r *runner) report(err error) {
	if !r.Plan.Logging.Quiet {
		fmt.Fprintln(r.Stderr, "minicluster-agent:", err)
	}
	r.TerminationMessage(err.Error())
}

// runWords runs a program in the foreground. It forwards signals to the whole process group of the program, since a
// shell does not.
func (r *runner) runWords(ctx context.Context, s *shutdown.Shutdown, words []string) int {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = r.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Stdin, r.Stdout, r.Stderr
	if r.Plan.Lead.Mode == plan.ModeSubmit {
		defer r.showLines(ctx, s, cmd)()
	}
	// A separate process group could not read from a terminal.
	terminal := pod.IsTerminal(r.Stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !terminal}
	if err := cmd.Start(); err != nil {
		r.report(fmt.Errorf("starting the program: %w", err))
		return hooks.ExitNotStarted(err)
	}
	to := -cmd.Process.Pid
	if terminal {
		to = cmd.Process.Pid
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its status is read below
	}()
	s.Forward(func(sig syscall.Signal) {
		if terminal {
			_ = syscall.Kill(to, sig)
			return
		}
		reaper.ForwardToGroup(-to, sig)
	})
	select {
	case <-ended:
	case <-s.Done():
		_ = reaper.Kill(to, syscall.SIGTERM)
		if terminal {
			_ = syscall.Kill(to, syscall.SIGHUP) // an interactive shell ignores SIGTERM
		}
		awaitGroup(s, -to, ended)
		_ = syscall.Kill(to, syscall.SIGKILL)
		<-ended
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return cmd.ProcessState.ExitCode()
	}
	return reaper.Status(status).Code()
}

// awaitGroup waits until a program and its process group have ended, or until only the reserve of the grace period
// remains. group is negative if the program does not lead a group.
func awaitGroup(s *shutdown.Shutdown, group int, ended <-chan struct{}) {
	timeout := s.Remaining(s.Reserve())
	if s.Signal() == shutdown.ParentDeathSignal {
		timeout = min(timeout, lostTimeout)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		return
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for group > 0 && reaper.GroupExists(group) {
		select {
		case <-ticker.C:
		case <-timer.C:
			return
		}
	}
}

// diagnose prints what the broker knows about itself and its followers.
func (r *runner) diagnose(ctx context.Context) {
	for _, args := range [][]string{{"overlay", "status"}, {"lsattr", "-v"}, {"dmesg"}} {
		cmd := exec.CommandContext(ctx, r.flux(), args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = r.Environ, r.Stdout, r.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(r.Stderr, "minicluster-agent: flux", args[0]+":", err)
		}
	}
}
