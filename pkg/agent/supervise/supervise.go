// Package supervise starts the broker of a pod, restarts it when it ends too early, and stops it with the pod. It
// decides the exit code of the pod.
package supervise

import (
	"context"
	"fmt"
	"sync/atomic"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shutdown"
)

// Supervisor runs the broker of one pod.
type Supervisor struct {
	*pod.Pod
	table    *reaper.Table
	shutdown *shutdown.Shutdown
	instance *prepare.Instance
	// broker is the process ID of the broker, 0 before the first.
	broker atomic.Int64
	// ended describes how the last broker ended; nil if none has.
	ended atomic.Pointer[string]
}

// New makes a Supervisor for a prepared pod.
func New(p *pod.Pod, table *reaper.Table, s *shutdown.Shutdown, instance *prepare.Instance) *Supervisor {
	return &Supervisor{Pod: p, table: table, shutdown: s, instance: instance}
}

// Run runs the broker until the work of the pod is done, and returns the exit code of the pod.
func (v *Supervisor) Run(ctx context.Context) (int, error) {
	if v.instance.Lead {
		return v.lead(ctx)
	}
	return v.follower(ctx)
}

// LastEnd describes how the last broker ended; "" if none has.
func (v *Supervisor) LastEnd() string {
	if text := v.ended.Load(); text != nil {
		return *text
	}
	return ""
}

// brokerEnded records how a broker ended, for the diagnosis of a pod that is not ready.
func (v *Supervisor) brokerEnded(status reaper.Status, attempts int) {
	text := fmt.Sprintf("the broker was started %d times in a row, and ended the last time with %s", attempts, status)
	v.ended.Store(&text)
}
