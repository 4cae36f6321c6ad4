package controller

import (
	"cmp"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// drainStart is the time between recording a drain and draining.
const drainStart = 20 * time.Millisecond

// prepareBrokers prepares the brokers for another size: it drains ranks that are removed and undrains ranks that are
// added again. It reports whether the Job may be resized.
func (c *Controller) prepareBrokers(ctx context.Context, s *syncState, target int32) (bool, error) {
	if !c.drains(s) || !hasBrokers(s) {
		return true, nil
	}
	if target < resources.Parallelism(s.job) {
		return c.drain(ctx, s, target)
	}
	if !s.mayHaveDrainedRanks(target) {
		return true, nil
	}
	// Growth does not wait for an unreachable agent: the request is repeated later.
	answer, err := c.pollAgent(ctx, s, target)
	return answer != nil, err
}

// drains reports whether agents are asked to drain ranks.
func (c *Controller) drains(s *syncState) bool {
	return c.agentUnreachableTimeout > 0 || drain.Waits(s.mc)
}

// hasBrokers reports whether brokers may be running.
func hasBrokers(s *syncState) bool {
	return s.job.Status.Active > 0 && !resources.Suspended(s.job) && !resources.LeadCompleted(s.job)
}

// mayHaveDrainedRanks reports whether this controller may have drained ranks below a size.
func (s *syncState) mayHaveDrainedRanks(size int32) bool {
	from, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	return s.observed.Drain != nil || known && from < size
}

// drain reports whether the Job may shrink: the removed ranks are idle, or there is a reason not to wait for them.
// The status records the drain before it starts, so that the next leader knows which ranks may have to be undrained.
func (c *Controller) drain(ctx context.Context, s *syncState, target int32) (bool, error) {
	timeout := drain.Timeout(s.mc)
	if timeout != nil && *timeout == 0 {
		return true, nil
	}
	from := resources.Parallelism(s.job)
	if s.observed.Drain == nil || s.observed.Drain.Size != target {
		if none, err := c.neverStarted(ctx, s, target); none || err != nil {
			return none, err
		}
		c.startDrain(s, target)
		s.observed.Draining = messages.DrainStarted(drain.Ranks(target, from), from, target)
		s.requeueAfter(drainStart)
		return false, nil
	}
	in := drain.Input{
		Now: c.clock.Now(), From: from, To: target, Elapsed: c.drainTimers.Elapsed(s.name(), s.observed.Drain), Timeout: timeout,
		AgentTimeout: c.agentUnreachableTimeout, Wait: drain.Waits(s.mc), LastMessage: lastDrainMessage(s.mc),
	}
	drain.Record(s.observed.Drain, in.Elapsed)
	decision := drain.Decide(in)
	if decision.Ask {
		answer, err := c.pollAgent(ctx, s, target)
		if err != nil {
			return false, err
		}
		if answer != nil && answer.Err != nil {
			klog.FromContext(ctx).V(1).Info("The agent failed to drain ranks", "reason", resources.Quote(answer.Err.Error()))
			answer.Blocked = c.agentBlocked(ctx, s, answer.Err)
		}
		in.Asked, in.Answer = true, answer
		decision = drain.Decide(in)
	}
	c.applyDrain(ctx, s, decision)
	return decision.Shrink, nil
}

// startDrain records a new drain. The record differs from that of any later drain.
func (c *Controller) startDrain(s *syncState, target int32) {
	s.observed.Drain = &v1alpha2.DrainStatus{Size: target, Since: metav1.NewMicroTime(c.clock.Now().Truncate(time.Microsecond))}
	c.agents.Reset(s.name())
}

func (c *Controller) applyDrain(ctx context.Context, s *syncState, d drain.Decision) {
	s.observed.Draining = d.Message
	if d.NothingDrained {
		s.observed.Drain = nil
	}
	if d.Event != nil {
		klog.FromContext(ctx).Info("Shrinking without draining", "reason", d.Event.Message)
		s.undrained = &status.Event{Type: corev1.EventTypeWarning, Reason: d.Event.Reason, Action: "Resize", Message: d.Event.Message}
	}
	if d.AskAfter > 0 {
		c.agents.Pause(s.name(), d.AskAfter)
	}
	s.requeueAfter(d.RequeueAfter)
}

// lastDrainMessage returns the last reported message of a drain, "" if there is none.
func lastDrainMessage(mc *v1alpha2.MiniCluster) string {
	if c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing); c != nil && c.Reason == v1alpha2.ReasonDraining {
		return c.Message
	}
	return ""
}

// neverStarted reports whether none of the removed pods has run, so that there is nothing to wait for. It lists pods
// only if some are not ready.
func (c *Controller) neverStarted(ctx context.Context, s *syncState, target int32) (bool, error) {
	if ptr.Deref(s.job.Status.Ready, 0) >= resources.Parallelism(s.job) {
		return false, nil
	}
	address, started := "", false
	err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) {
		address = cmp.Or(address, resources.LeadAddress(pod))
		index, ok := resources.PodIndex(pod)
		started = started || ok && index >= target && pod.Status.Phase != corev1.PodPending && !resources.PodEnded(pod)
	})
	if err != nil {
		return false, err
	}
	c.agents.SetAddress(s.name(), s.mc.UID, address)
	return !started, nil
}

// undrain undrains ranks that this controller drained and that stay, or that were added again while the agent was
// unreachable.
func (c *Controller) undrain(ctx context.Context, s *syncState) error {
	size := resources.Parallelism(s.job)
	if !s.mayHaveDrainedRanks(size) {
		return nil
	}
	if !c.drains(s) {
		s.observed.Drain = nil
		return nil
	}
	if s.observed.Drain != nil && s.observed.Drain.Size != size {
		c.startDrain(s, size)
	}
	if !hasBrokers(s) || s.observed.CertificateLost {
		return nil
	}
	answer, err := c.pollAgent(ctx, s, size)
	if err != nil || answer == nil {
		return err
	}
	decision := drain.DecideUndrain(answer)
	if !decision.Done {
		c.agents.Pause(s.name(), decision.AskAfter)
		if decision.Requeue {
			s.requeueAfter(decision.AskAfter)
		}
		return nil
	}
	s.observed.Drain = nil
	// Ranks that were undrained may be on nodes that go away: they are drained again before a pod leaves.
	c.agents.PauseNodes(s.name(), 0)
	if !decision.Record {
		return nil
	}
	return c.recordUndrained(ctx, s, size)
}

// recordUndrained records on the Job that this controller has drained no rank below its size, if the record differs.
func (c *Controller) recordUndrained(ctx context.Context, s *syncState, size int32) error {
	from, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	if !known || from >= size {
		return nil
	}
	job, err := patch(ctx, c, s.key, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, s.job.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{
			"uid": s.job.UID, "annotations": map[string]any{v1alpha2.AnnotationDrainedFrom: s.drainedFrom(size)},
		},
	})
	if err == nil {
		s.job = job
	}
	return err
}

// annotateDrained adds the annotation that says which ranks may be drained after a resize.
func (c *Controller) annotateDrained(s *syncState, target int32, annotations map[string]any) {
	_, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	switch {
	case c.agents.Acknowledged(s.name(), target) && (known || s.observed.Drain != nil):
		annotations[v1alpha2.AnnotationDrainedFrom] = s.drainedFrom(target)
	case s.observed.Drain != nil:
		// Ranks may be drained for an earlier request. Rank 0 never is.
		annotations[v1alpha2.AnnotationDrainedFrom] = resources.FormatSize(1)
	}
}

// drainedFrom returns the value of the annotation if no rank below a size is drained; nil if there are no other
// ranks.
func (s *syncState) drainedFrom(size int32) any {
	if size >= s.fixed.Maximum {
		return nil
	}
	return resources.FormatSize(size)
}
