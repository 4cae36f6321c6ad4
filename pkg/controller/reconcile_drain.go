package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// drainPoll is how often the agent is asked whether ranks are idle.
	drainPoll = time.Second
	// drainSettle is the same where nothing runs on them: drains only have to be old
	// enough.
	drainSettle = 600 * time.Millisecond
	// drainSoon is the time from writing that ranks are to be drained to draining.
	drainSoon = 20 * time.Millisecond
	// giveBackMax is the longest time between two tries to give ranks back, and
	// giveBackFor how long it is tried again without another reason to.
	giveBackMax = time.Minute
	giveBackFor = time.Hour
)

// prepare readies the brokers for another size: ranks that are to go are drained and
// waited for, those that come back are given back. It tells whether the Job may get it.
func (c *Controller) prepare(ctx context.Context, s *syncState, target int32) (bool, error) {
	if c.drainPatience == 0 || !running(s) {
		return true, nil
	}
	if target < resources.Parallelism(s.job) {
		return c.drain(ctx, s, target)
	}
	if !s.owes(target) {
		return true, nil
	}
	// Growth does not wait for an agent that can't be reached: it is asked again later.
	heard, err := c.consult(ctx, s, target)
	return heard != nil, err
}

// running tells whether there may be brokers to talk to.
func running(s *syncState) bool {
	return s.job.Status.Active > 0 && !resources.Suspended(s.job) && !resources.LeadCompleted(s.job)
}

// owes tells whether ranks below a size may be drained by us.
func (s *syncState) owes(size int32) bool {
	from, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	return s.seen.drain != nil || known && from < size
}

// drain tells whether the Job may shrink: the ranks that go are idle, or there is a
// reason not to wait for them. That it drains is written before it does: whoever comes
// after us has to know what may have to be undone.
func (c *Controller) drain(ctx context.Context, s *syncState, target int32) (bool, error) {
	limit := drainTimeout(s.mc)
	if limit != nil && *limit == 0 {
		return true, nil
	}
	change := fmt.Sprintf("before the Job shrinks from %d to %d", resources.Parallelism(s.job), target)
	if s.seen.drain == nil || s.seen.drain.Size != target {
		if none, err := c.neverStarted(ctx, s, target); none || err != nil {
			return none, err
		}
		s.seen.drain = &v1alpha2.DrainStatus{Size: target, Since: metav1.NewMicroTime(c.clock.Now().Truncate(time.Microsecond))}
		s.seen.draining = fmt.Sprintf("draining %s %s", ranks(target, resources.Parallelism(s.job)), change)
		c.leads.reset(s.key)
		c.queue.AddAfter(s.key, drainSoon)
		return false, nil
	}
	if limit != nil {
		left := *limit - c.clock.Since(s.seen.drain.Since.Time)
		if left <= 0 {
			s.seen.undrained = &event{corev1.EventTypeWarning, "DrainTimedOut", "Resize", fmt.Sprintf(
				"size %d: %s not idle after %s, stopped", target, ranks(target, resources.Parallelism(s.job)), *limit)}
			return true, nil
		}
		c.queue.AddAfter(s.key, left)
	}
	heard, err := c.consult(ctx, s, target)
	if err != nil {
		return false, err
	}
	s.seen.draining = lastProgress(s, change)
	switch {
	case heard == nil:
		return false, nil
	case heard.err != nil:
		return c.unanswered(ctx, s, target, heard), nil //nolint:nilerr // the agent's error is no failure of ours
	case heard.state.Idle:
		return true, nil
	}
	pause := drainPoll
	if heard.state.Busy.Empty() {
		pause = drainSettle
	}
	s.seen.draining = busyMessage(heard.state, change, limit)
	c.leads.pause(s.key, pause)
	c.queue.AddAfter(s.key, pause)
	return false, nil
}

// unanswered tells whether to go on without an agent that has not answered.
func (c *Controller) unanswered(ctx context.Context, s *syncState, target int32, heard *answer) bool {
	if heard.hopeless {
		s.seen.drain = nil // then nothing ever was
	}
	reason := sentence(heard.err.Error()) // what answers is the user's pod, which may say anything
	if heard.hopeless || heard.failing >= c.drainPatience {
		klog.FromContext(ctx).Info("Shrinking without draining", "size", target, "reason", reason)
		s.seen.undrained = &event{corev1.EventTypeWarning, "DrainSkipped", "Resize", fmt.Sprintf(
			"size %d: %s not drained: %s", target, ranks(target, resources.Parallelism(s.job)), reason)}
		return true
	}
	klog.FromContext(ctx).V(1).Info("The agent does not answer as it should", "reason", reason)
	what := "can't be reached"
	if refused := (*control.RefusedError)(nil); errors.As(heard.err, &refused) {
		what = "can't drain ranks"
	}
	s.seen.draining = fmt.Sprintf("the agent of the lead broker's pod %s; if that lasts for %s, the Job shrinks from %d to %d without",
		what, c.drainPatience, resources.Parallelism(s.job), target)
	c.leads.pause(s.key, drainPoll)
	c.queue.AddAfter(s.key, drainPoll)
	return false
}

// neverStarted tells whether none of the pods that a size takes away has run, so that
// there is nothing to wait for. Pods are asked for only where some are not ready.
func (c *Controller) neverStarted(ctx context.Context, s *syncState, target int32) (bool, error) {
	if ptr.Deref(s.job.Status.Ready, 0) >= resources.Parallelism(s.job) {
		return false, nil
	}
	pods, err := c.livePods(ctx, s.mc)
	if err != nil {
		return false, err
	}
	c.leads.locate(s.key, s.mc.UID, resources.LeadAddress(pods))
	for i := range pods {
		if index, ok := resources.PodIndex(&pods[i]); ok && index >= target && pods[i].Status.Phase != corev1.PodPending {
			return false, nil
		}
	}
	return true, nil
}

// giveBack gives ranks back that we drained and that are not to go any more, or that
// have come back while the agent could not be reached.
func (c *Controller) giveBack(ctx context.Context, s *syncState) error {
	size := resources.Parallelism(s.job)
	if !s.owes(size) {
		return nil
	}
	if c.drainPatience == 0 {
		s.seen.drain = nil
		return nil
	}
	if s.seen.drain != nil && s.seen.drain.Size != size {
		// What is written differs from any wait that may follow.
		s.seen.drain = &v1alpha2.DrainStatus{Size: size, Since: metav1.NewMicroTime(c.clock.Now().Truncate(time.Microsecond))}
		c.leads.reset(s.key)
	}
	if !running(s) || s.seen.certificateLost {
		return nil
	}
	heard, err := c.consult(ctx, s, size)
	switch {
	case err != nil || heard == nil:
		return err
	case heard.hopeless:
		s.seen.drain = nil // then it never drained anything
		return nil
	case heard.err != nil:
		pause := min(drainPoll<<min(heard.failures-1, 10), giveBackMax)
		c.leads.pause(s.key, pause)
		if heard.failing < giveBackFor {
			c.queue.AddAfter(s.key, pause)
		}
		return nil
	}
	s.seen.drain = nil
	return c.forgetDrained(ctx, s, size)
}

// forgetDrained records on the Job that no rank below its size is drained by us, where
// it says something else.
func (c *Controller) forgetDrained(ctx context.Context, s *syncState, size int32) error {
	from, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	if !known || from >= size {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": s.job.UID, "annotations": map[string]any{v1alpha2.AnnotationDrainedFrom: drainedFrom(s, size)},
	}})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	job, err := c.kube.BatchV1().Jobs(s.mc.Namespace).
		Patch(ctx, s.job.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return &staleError{what: "Jobs"}
	}
	if err != nil {
		return fmt.Errorf("recording that ranks were given back: %w", err)
	}
	s.job = job
	c.fresh.wrote(s.key, jobs, job.ResourceVersion)
	return nil
}

// noteDrained adds to what is written on a Job that gets a size what may be drained
// then.
func (c *Controller) noteDrained(s *syncState, target int32, annotations map[string]any) {
	_, known := resources.SizeAnnotation(s.job.Annotations, v1alpha2.AnnotationDrainedFrom)
	switch {
	case c.leads.agreed(s.key, target) && (known || s.seen.drain != nil):
		annotations[v1alpha2.AnnotationDrainedFrom] = drainedFrom(s, target)
	case s.seen.drain != nil:
		// It may have drained ranks for a size that is not wanted any more. Rank 0 is
		// never drained.
		annotations[v1alpha2.AnnotationDrainedFrom] = resources.FormatSize(1)
	}
}

// drainedFrom is the value of the annotation when no rank below a size is drained; nil
// where there are no others.
func drainedFrom(s *syncState, size int32) any {
	if size >= s.fixed.Maximum {
		return nil
	}
	return resources.FormatSize(size)
}

// drainTimeout is how long a shrink may wait for jobs, nil for as long as they take.
func drainTimeout(mc *v1alpha2.MiniCluster) *time.Duration {
	if mc.Spec.ScaleDown == nil || mc.Spec.ScaleDown.DrainTimeoutSeconds == nil {
		return nil
	}
	return new(max(0, time.Duration(*mc.Spec.ScaleDown.DrainTimeoutSeconds)*time.Second))
}

// lastProgress is what was said of a wait last, until there is news.
func lastProgress(s *syncState, change string) string {
	if c := meta.FindStatusCondition(s.mc.Status.Conditions, v1alpha2.ConditionProgressing); c != nil && c.Reason == v1alpha2.ReasonDraining {
		return c.Message
	}
	return "draining ranks " + change
}

func busyMessage(state control.State, change string, limit *time.Duration) string {
	if state.Busy.Empty() {
		return fmt.Sprintf("draining ranks %s %s", rankText(state.Leaving), change)
	}
	jobs := fmt.Sprintf("%d jobs", state.Jobs)
	if state.Jobs == 1 {
		jobs = "1 job"
	}
	text := fmt.Sprintf("waiting for %s on ranks %s to end %s", jobs, rankText(state.Busy), change)
	if limit != nil {
		text += fmt.Sprintf(", for at most %s in all", *limit)
	}
	return text
}

// maxRankText bounds what is listed of ranks: every other one of a large cluster is a text that nobody reads, and it
// would be written again each second.
const maxRankText = 256

func rankText(ranks flux.IDSet) string { return resources.Shorten(ranks.String(), maxRankText) }

// ranks names the ranks from one to the one before another.
func ranks(from, end int32) string {
	if from+1 == end {
		return "rank " + resources.FormatSize(from)
	}
	return "ranks " + resources.FormatSize(from) + "-" + resources.FormatSize(end-1)
}
