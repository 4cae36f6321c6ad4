package agent

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// follower runs a follower's broker until the pod is told to stop: whatever its
// broker says. When the lead is stopped all followers' brokers end with 0, and an
// index of the Job that completes never comes back.
func (r *runner) follower(ctx context.Context) (int, error) {
	var wait backoff
	for !r.stop.Told() {
		begin := time.Now()
		p, err := r.startBroker(prepare.BrokerRun{
			CleanupTimeout: r.stop.grace / 5, ShutdownTimeout: r.stop.grace / 5,
		})
		if err != nil {
			return 0, exit(plan.ExitBroker, err)
		}
		select {
		case <-p.Done():
		case <-r.stop.Done:
			r.stopBroker(ctx, p)
			return plan.ExitStopped, nil
		}
		status := p.Status()
		if r.plan.CompleteWorkers {
			klog.FromContext(ctx).Info("The broker has ended, and so does this pod", "status", status.String())
			return 0, nil
		}
		r.endLeftBehind(ctx)
		d := wait.next(time.Since(begin))
		r.brokerEnded(status, wait.fast)
		klog.FromContext(ctx).Info("The broker has ended; it is started again", "status", status.String(), "after", d)
		r.stop.Sleep(d)
	}
	return plan.ExitStopped, nil
}
