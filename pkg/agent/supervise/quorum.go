package supervise

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/flux"
)

// stateTimeout limits a query of the state of the pod's own broker.
const stateTimeout = 2 * time.Second

// quorum is the number of brokers for which the lead waits. A shrink lowers it while the cluster runs. The mounted
// ConfigMap shows that after a minute; the controller reports it at once.
type quorum struct {
	// lowered is the lowest quorum that the controller reported, 0 if it reported none.
	lowered atomic.Int32
	// changed is signaled when lowered changes.
	changed chan struct{}
	// started is the quorum with which the running broker was started.
	started int32
}

// LowerQuorum reports a quorum that was lowered. A broker that still waits for more brokers is restarted with it.
func (v *Supervisor) LowerQuorum(n int32) {
	for {
		before := v.quorum.lowered.Load()
		if before != 0 && before <= n {
			return
		}
		if v.quorum.lowered.CompareAndSwap(before, n) {
			break
		}
	}
	select {
	case v.quorum.changed <- struct{}{}:
	default: // already signaled
	}
}

// currentQuorum returns the number of brokers for which the lead has to wait now.
func (v *Supervisor) currentQuorum() (int32, error) {
	text, err := os.ReadFile(v.Path(plan.ConfigDir, plan.FileQuorum))
	if err != nil {
		return 0, fmt.Errorf("reading the quorum: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("reading the quorum: %q: must be a number of at least 1", text)
	}
	if lowered := v.quorum.lowered.Load(); lowered != 0 {
		return min(int32(n), lowered), nil
	}
	return int32(n), nil
}

// restartForQuorum stops a broker that waits for more brokers than it has to by now, and reports whether it did: Flux
// reads the quorum only when it starts. A broker that has its quorum runs its program, and is left alone.
func (v *Supervisor) restartForQuorum(ctx context.Context, p *reaper.Process) bool {
	now, err := v.currentQuorum()
	if err != nil || now >= v.quorum.started || !v.awaitsQuorum(ctx) {
		return false
	}
	klog.FromContext(ctx).Info("Restarting the lead broker, because its quorum was lowered", "quorum", now, "before", v.quorum.started)
	v.stopBroker(ctx, p)
	return true
}

// dial connects to the broker of the pod as its user.
func (v *Supervisor) dial(ctx context.Context) (*flux.Client, error) {
	return flux.Dial(ctx, v.Path(v.instance.Files.Socket), flux.AsUser(v.brokerUser()))
}

// brokerUser returns the user ID of the broker, -1 for that of the agent.
func (v *Supervisor) brokerUser() int {
	if v.instance.Credential == nil {
		return -1
	}
	return int(v.instance.Credential.Uid)
}

// awaitsQuorum reports whether the broker of the pod waits for its quorum.
func (v *Supervisor) awaitsQuorum(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	client, err := v.dial(ctx)
	if err != nil {
		return false
	}
	defer client.Close()
	state, err := client.State(ctx)
	return err == nil && state == flux.StateQuorum
}
