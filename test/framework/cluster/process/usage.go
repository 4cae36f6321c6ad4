package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is the resource usage of a program.
type Usage struct {
	CPU time.Duration
	// RSS and PeakRSS are in bytes.
	RSS     int64
	PeakRSS int64
}

// userHz is the unit of times in /proc, the same on all of Linux' platforms that
// matter here.
const userHz = 100

// UsageOf reads the usage of a process from /proc; without /proc, it is zero.
func UsageOf(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if hasEnded(err) {
		return Usage{}, nil
	}
	if err != nil {
		return Usage{}, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if hasEnded(err) {
		return Usage{}, nil
	}
	if err != nil {
		return Usage{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return parseUsage(stat, status)
}

// hasEnded reports whether a file of /proc cannot be opened or read because its process has ended.
func hasEnded(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

func parseUsage(stat, status []byte) (Usage, error) {
	var u Usage
	// The second field is the name, in parentheses, and may contain anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("unexpected content of /proc/PID/stat: %q", stat)
	}
	for _, field := range fields[11:13] { // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading /proc/PID/stat: %w", err)
		}
		u.CPU += time.Duration(ticks) * time.Second / userHz
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading /proc/PID/status: %w", err)
		}
		switch fields[0] {
		case "VmRSS:":
			u.RSS = n << 10
		case "VmHWM:":
			u.PeakRSS = n << 10
		}
	}
	return u, nil
}
