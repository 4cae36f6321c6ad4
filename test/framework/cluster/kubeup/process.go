package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/cluster"
)

const (
	stopPatience = 10 * time.Second
	killPatience = 2 * time.Minute
	stopPoll     = 50 * time.Millisecond
)

// running returns the recorded processes that still run. Another process may have got the same ID, so a process only
// counts if its command line contains the directory.
func (s state) running(dir string) []cluster.Process {
	var running []cluster.Process
	for _, p := range s.Processes {
		if isOurs(p.PID, dir) {
			running = append(running, p)
		}
	}
	return running
}

func isOurs(pid int, dir string) bool {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return false
	}
	for _, argument := range bytes.Split(content, []byte{0}) {
		_, value, _ := strings.Cut(string(argument), "=")
		if value == dir || strings.HasPrefix(value, dir+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// end asks processes to end, and kills those that do not.
func end(ctx context.Context, dir string, processes []cluster.Process) error {
	for _, p := range processes {
		if err := send(p, syscall.SIGTERM); err != nil {
			return err
		}
	}
	for _, p := range processes {
		err := ended(ctx, stopPatience, dir, p)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		if err := send(p, syscall.SIGKILL); err != nil {
			return err
		}
		// It may write to the directory until it has ended.
		if err := ended(ctx, killPatience, dir, p); err != nil {
			return err
		}
	}
	return nil
}

// ended waits until a process has ended.
func ended(ctx context.Context, patience time.Duration, dir string, p cluster.Process) error {
	err := wait.PollUntilContextTimeout(ctx, stopPoll, patience, true, func(context.Context) (bool, error) {
		return !isOurs(p.PID, dir), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the end of %s: %w", p.Name, err)
	}
	return nil
}

func send(p cluster.Process, signal syscall.Signal) error {
	if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to %s (process %d): %w", signal, p.Name, p.PID, err)
	}
	return nil
}
