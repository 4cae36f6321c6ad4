// Package supervise starts the broker of a pod, restarts it when it ends too early, and stops it with the pod. It
// decides the exit code of the pod. Do not add the preparation of a broker here (package prepare), nor anything that
// runs in its initial program (package initial).
package supervise

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"minicluster.internal/operator/pkg/agent/brokerlog"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Supervisor runs the broker of one pod.
type Supervisor struct {
	*pod.Pod
	table    *reaper.Table
	shutdown *shutdown.Shutdown
	instance *prepare.Instance
	// broker is the process ID of the broker, 0 before the first.
	broker atomic.Int64
	// log is the output of the last broker.
	log *brokerlog.Log
	// stderr passes the standard error of the container to the initial program.
	stderr *brokerlog.Stream
	// ended describes how the last broker ended; nil if none has.
	ended atomic.Pointer[string]
	// quorum is that of a lead.
	quorum quorum
	// cluster identifies the MiniCluster.
	cluster string
	// hibernation is that of a lead.
	hibernation *hibernation
	// programless: the running lead broker has no initial program.
	programless bool
	// stoppedCode is the exit code of a program that the request to stop the pod ended; nil if there is none.
	stoppedCode *int
}

// New returns a Supervisor for a prepared pod.
func New(p *pod.Pod, table *reaper.Table, s *shutdown.Shutdown, instance *prepare.Instance) *Supervisor {
	v := &Supervisor{Pod: p, table: table, shutdown: s, instance: instance, quorum: quorum{changed: make(chan struct{}, 1)}}
	v.hibernation = &hibernation{v: v, changed: make(chan struct{}, 1)}
	return v
}

// Run runs the broker until the work of the pod is done, and returns the exit code of the pod.
func (v *Supervisor) Run(ctx context.Context) (int, error) {
	if v.instance.Lead {
		var err error
		if v.stderr, err = brokerlog.OpenStream(v.Stderr, v.instance.UID); err != nil {
			return 0, pod.Exit(plan.ExitBroker, err)
		}
		defer v.stderr.Close()
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

// Stopped describes what a signal stopped, after the end of Run.
func (v *Supervisor) Stopped(signal string) string {
	if v.stoppedCode != nil {
		return fmt.Sprintf("%s stopped the pod before the program had ended; the program then ended with exit code %d", signal, *v.stoppedCode)
	}
	return signal + " stopped the pod"
}

// brokerEnded records how a broker ended, for the diagnosis of a pod that is not ready.
func (v *Supervisor) brokerEnded(status reaper.Status, attempts int) {
	text := fmt.Sprintf("the broker was started %d times in a row, and ended the last time with %s", attempts, v.describe(status))
	v.ended.Store(&text)
}

// describe says how the last broker ended, with Flux's own errors.
func (v *Supervisor) describe(status reaper.Status) string {
	if text := v.log.Errors(); text != "" {
		return fmt.Sprintf("%s: %s (Flux %s)", status, text, v.instance.Version)
	}
	return status.String()
}

// failureCode returns the exit code of a lead whose broker cannot be started. The code is final if another pod would
// fail in the same way: Flux rejects the configuration, or the user's configuration names files that do not exist.
func (v *Supervisor) failureCode() int {
	text := v.log.Errors()
	if strings.Contains(text, "Config file error") || v.Plan.Broker.OwnConfig && strings.Contains(text, "No such file or directory") {
		return plan.ExitSpec
	}
	return plan.ExitBroker
}
