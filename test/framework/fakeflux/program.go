package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// runProgram runs the initial program, or waits if there is none, until it ends or the broker has to stop. It returns
// the exit code of the broker.
func (b *broker) runProgram() int {
	done := make(chan struct{})
	stop := make(chan struct{})
	defer close(stop)
	go func() { // flux shutdown
		if b.Wait(stop, func() bool { return b.stopping }) {
			b.signals <- syscall.SIGTERM
		}
	}()
	if _, none := b.State.Attrs["broker.rc2_none"]; none {
		b.log.info("signal %v", <-b.signals)
		return 0
	}
	argv := b.program
	if len(argv) == 0 {
		argv = []string{shell()}
	}
	if len(argv) == 1 { // may be a script
		argv = []string{shell(), "-c", argv[0]}
	}
	c := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = b.environment(os.Environ())
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	closeOthers()
	if err := c.Start(); err != nil {
		b.log.error("rc2: %v", err)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	go func() {
		defer close(done)
		_ = c.Wait() // the state has the result
	}()
	for aborted := false; ; {
		select {
		case <-done:
			if code := exitCode(c.ProcessState); code != 0 || !aborted {
				return code
			}
			return 1
		case s := <-b.signals:
			b.log.info("signal %v", s)
			aborted = true
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGHUP) // it may have ended
		}
	}
}

// runStartScript runs broker.rc1_path, if it is set: the start script of Flux itself does nothing here.
func (b *broker) runStartScript() error {
	script := b.State.Attrs["broker.rc1_path"]
	if script == "" {
		return nil
	}
	c := exec.CommandContext(context.Background(), shell(), "-c", script)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	c.Env = b.environment(os.Environ())
	if err := c.Run(); err != nil {
		return fmt.Errorf("rc1: %w", err)
	}
	return nil
}

// closeOthers prevents the initial program from inheriting files other than the standard ones.
func closeOthers() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/bash"
}

// exitCode returns the exit code as a shell reports it.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// environment returns the environment of programs of the instance, without variables of another instance.
func (b *broker) environment(of []string) []string {
	var env []string
	for _, e := range of {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case name == "FLUX_URI", strings.HasPrefix(name, "FLUX_JOB_"), strings.HasPrefix(name, "FLUX_TASK_"),
			strings.HasPrefix(name, "PMI_"), name == "FLUX_PROXY_REMOTE", name == nestedR:
		case name == "PATH":
			if self, err := os.Executable(); err == nil && !strings.Contains(e, filepath.Dir(self)) {
				e += ":" + filepath.Dir(self)
			}
			env = append(env, e)
		default:
			env = append(env, e)
		}
	}
	return append(env, "FLUX_URI="+b.State.Attrs["local-uri"])
}
