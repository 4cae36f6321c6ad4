package supervise

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// follower runs the broker of a follower until the pod is asked to stop, whatever the exit code of the broker is: when
// the lead stops, the brokers of all followers end with 0, and Kubernetes never restarts an index of the Job that has
// completed.
func (v *Supervisor) follower(ctx context.Context) (int, error) {
	var wait backoff
	for !v.shutdown.Requested() {
		begin := time.Now()
		p, err := v.startBroker(prepare.BrokerRun{CleanupTimeout: v.fluxTimeout(), ShutdownTimeout: v.fluxTimeout()})
		if err != nil {
			return 0, pod.Exit(plan.ExitBroker, err)
		}
		stopUndrain := v.undrainInBackground(ctx)
		select {
		case <-p.Done():
			stopUndrain()
		case <-v.shutdown.Done():
			stopUndrain()
			v.drainRank(ctx)
			v.awaitPause(ctx)
			v.stopTasks(ctx, p, false)
			v.stopBroker(ctx, p)
			return plan.ExitStopped, nil
		}
		status := p.Status()
		if v.Plan.CompleteWorkers {
			klog.FromContext(ctx).Info("The broker has ended, and the pod completes", "status", status.String())
			return 0, nil
		}
		v.stopOrphans(ctx)
		delay := wait.next(time.Since(begin))
		v.brokerEnded(status, wait.early)
		klog.FromContext(ctx).Info("Restarting the broker", "status", v.describe(status), "delay", delay)
		v.shutdown.Sleep(delay)
	}
	return plan.ExitStopped, nil
}
