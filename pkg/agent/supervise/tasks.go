package supervise

import (
	"context"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/jobs"
	"minicluster.internal/operator/pkg/agent/reaper"
)

const (
	// shellName is the program that starts the tasks of a job.
	shellName = "flux-shell"
	// brokerName is the program of a broker. One that is a task belongs to an instance inside of a job (flux batch).
	brokerName = "flux-broker"
	// taskInterval is how often tasks are listed while the pod stops.
	taskInterval = 100 * time.Millisecond
)

// stopTasks asks the tasks of jobs in this pod to stop, and gives them time to write a checkpoint before the broker
// stops: Flux itself gives them exec.kill-timeout only, and none at all when their broker leaves. It returns when no
// job uses the rank of this pod, or any rank if all is set, when the broker has ended, or when only the reserve of the
// grace period remains.
func (v *Supervisor) stopTasks(ctx context.Context, broker *reaper.Process, all bool) {
	ctx, cancel := context.WithTimeout(ctx, v.shutdown.Remaining(v.shutdown.Reserve()))
	defer cancel()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		v.waitIdle(ctx, all)
	}()
	ticker := time.NewTicker(taskInterval)
	defer ticker.Stop()
	asked := map[int]bool{}
	for {
		running := signalTasks(broker.PID, asked)
		if running > 0 && len(asked) == running {
			klog.FromContext(ctx).V(1).Info("Waiting for tasks of jobs, which were asked to stop", "tasks", running)
		}
		select {
		case <-idle:
			return
		case <-broker.Done():
			return
		case <-ticker.C:
		}
	}
}

// waitIdle waits until no job uses the rank of this pod, or any rank.
func (v *Supervisor) waitIdle(ctx context.Context, all bool) {
	var rank *uint32
	if !all {
		index, err := v.Index()
		if err != nil {
			return
		}
		rank = new(uint32(index))
	}
	if _, err := jobs.WaitIdle(ctx, v.Path(v.instance.Files.Socket), v.brokerUser(), rank); err != nil {
		klog.FromContext(ctx).V(1).Info("Not waiting for jobs", "reason", err.Error())
	}
}

// signalTasks sends SIGTERM once to each task of a job, with its process group, and returns the number of tasks that
// run. The broker has started the shells of the jobs. A broker that is a task stops its own jobs when Flux cancels it;
// their tasks get the signal here too.
func signalTasks(broker int, asked map[int]bool) int {
	processes := reaper.Processes()
	running := 0
	for pid, p := range processes {
		if !strings.HasPrefix(processes[p.Parent].Name, shellName) || strings.HasPrefix(p.Name, brokerName) {
			continue
		}
		if !descends(processes, pid, broker) {
			continue
		}
		running++
		if asked[pid] {
			continue
		}
		asked[pid] = true
		to := pid
		if p.Group == pid {
			to = -pid
		}
		_ = reaper.Kill(to, syscall.SIGTERM) // it fails if the task has just ended
	}
	return running
}

// descends reports whether a process descends from another one.
func descends(processes map[int]reaper.Info, pid, ancestor int) bool {
	for range len(processes) {
		p, ok := processes[pid]
		switch {
		case !ok:
			return false
		case p.Parent == ancestor:
			return true
		}
		pid = p.Parent
	}
	return false
}
