package initial

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// runProgram runs the user's program, or waits if there is none.
func (r *runner) runProgram(ctx context.Context, s *shutdown.Shutdown) pod.Outcome {
	words, err := r.programWords(ctx)
	if err != nil {
		fmt.Fprintln(r.Stderr, "minicluster-agent:", err)
		return pod.Outcome{Code: plan.ExitPrepare, Stopped: s.Requested()}
	}
	if words == nil {
		if r.Plan.Lead.Mode == plan.ModeDiagnostics {
			r.diagnose(ctx)
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

// runWords runs a program in the foreground. It forwards the request to stop to the whole process group of the program,
// since a shell does not.
func (r *runner) runWords(ctx context.Context, s *shutdown.Shutdown, words []string) int {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = r.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Stdin, r.Stdout, r.Stderr
	// A process group of its own could not read from a terminal.
	group := !isTerminal(r.Stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(r.Stderr, "minicluster-agent:", err)
		return hooks.ExitNotStarted(err)
	}
	to := cmd.Process.Pid
	if group {
		to = -to
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its status is read below
	}()
	select {
	case <-ended:
	case <-s.Done():
		_ = syscall.Kill(to, syscall.SIGTERM)
		timer := time.NewTimer(min(ProgramTimeout, s.Grace()/3))
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

// isTerminal reports whether a file is a terminal, ioctl_tty(2).
func isTerminal(f *os.File) bool {
	var size [4]uint16
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return errno == 0
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
