package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// shellName is the name of the program between a broker and a task, as in Flux: supervisors find tasks by it.
const shellName = "flux-shell"

// shellProgram returns a link to this program with the name of the shell, which any user can run. It must be called
// within Wait.
func (b *broker) shellProgram() (string, error) {
	if b.shell != "" {
		return b.shell, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "flux-shell-")
	if err != nil {
		return "", err
	}
	b.made = append(b.made, dir)
	link := filepath.Join(dir, shellName)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Symlink(self, link)); err != nil {
		return "", err
	}
	b.shell = link
	return link, nil
}

// runShell runs a task: a path, and its arguments with the name first. It returns the exit code of the task, and passes
// the signals of its process group on to that of the task.
func runShell(words []string) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2)
	c := exec.CommandContext(context.Background(), words[0])
	c.Args = words[1:]
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "flux-shell:", err)
		return 127
	}
	go func() {
		for sig := range signals {
			if number, ok := sig.(syscall.Signal); ok {
				_ = syscall.Kill(-c.Process.Pid, number) // the task may have ended
			}
		}
	}()
	_ = c.Wait() // the state has the exit code
	return exitCode(c.ProcessState)
}
