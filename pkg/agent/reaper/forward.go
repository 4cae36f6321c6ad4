package reaper

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Kill sends a signal to a process or, if the number is negative, to a process group. A stopped process handles SIGTERM
// only after it continues, so Kill also continues it: a suspended job can still write its checkpoint.
func Kill(to int, sig syscall.Signal) error {
	err := syscall.Kill(to, sig)
	if err == nil && sig == syscall.SIGTERM {
		_ = syscall.Kill(to, syscall.SIGCONT) // it fails if the process has just ended
	}
	return err
}

// ForwardToGroup sends a signal to those processes of a group that handle it. Others would end: the shell that started
// a program, or a command that it runs.
func ForwardToGroup(group int, sig syscall.Signal) {
	for pid, p := range Processes() {
		if p.Group == group && Catches(pid, sig) {
			_ = syscall.Kill(pid, sig) // it fails if the process has just ended
		}
	}
}

// Catches reports whether a process handles a signal, proc_pid_status(5).
func Catches(pid int, sig syscall.Signal) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "SigCgt:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err == nil && mask&(1<<(sig-1)) != 0
		}
	}
	return false
}
