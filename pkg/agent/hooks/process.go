package hooks

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// processState are attributes that a shell passes on to the programs that it starts.
type processState struct {
	// Umask is the file mode creation mask.
	Umask int `json:"umask"`
	// Limits are the limits of resources (ulimit), if the hook has changed one.
	Limits map[int]unix.Rlimit `json:"limits,omitempty"`
}

// passedOn are the limits that hooks pass on.
var passedOn = []int{
	unix.RLIMIT_CORE, unix.RLIMIT_FSIZE, unix.RLIMIT_LOCKS, unix.RLIMIT_MEMLOCK, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_NICE, unix.RLIMIT_NOFILE,
	unix.RLIMIT_NPROC, unix.RLIMIT_RSS, unix.RLIMIT_RTPRIO, unix.RLIMIT_SIGPENDING, unix.RLIMIT_STACK,
	unix.RLIMIT_AS, unix.RLIMIT_CPU, unix.RLIMIT_DATA,
}

// currentProcess returns the attributes of the shell that has started this process.
func currentProcess(limited bool) processState {
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	out := processState{Umask: mask}
	if !limited {
		return out
	}
	out.Limits = map[int]unix.Rlimit{}
	for _, resource := range passedOn {
		var limit unix.Rlimit
		// Those of the shell: Go raises the number of open files of this process.
		if err := unix.Prlimit(os.Getppid(), resource, nil, &limit); err == nil {
			out.Limits[resource] = limit
		}
	}
	return out
}

// apply gives this process, and all that it starts from now on, the attributes of a hook.
func (p *processState) apply(ctx context.Context) {
	syscall.Umask(p.Umask)
	for resource, limit := range p.Limits {
		var now unix.Rlimit
		if unix.Getrlimit(resource, &now) != nil || now == limit {
			continue
		}
		switch resource {
		case unix.RLIMIT_AS, unix.RLIMIT_CPU, unix.RLIMIT_DATA:
			if limit.Cur < now.Cur {
				klog.FromContext(ctx).Info("A limit that the hook lowered does not apply after it, because the agent could not work with it", "limit", resource)
				continue
			}
		}
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit.Cur, Max: limit.Max}); err != nil {
			klog.FromContext(ctx).Error(err, "A limit that the hook set does not apply after it", "limit", resource)
		}
	}
}
