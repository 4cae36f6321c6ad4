package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/controller/resources"
)

// settleTime is how long all pods of a cluster must be ready after a loss before the failure counts are reset.
const settleTime = 5 * time.Second

// resetFailureCounts resets the failure counts of ranks that recovered. The Job controller delays the next pod of an
// index by 10 s, doubled with each failure or eviction up to 10 minutes, and no success resets the delay (KEP-3850).
// The count is an annotation of the pod. Only a cluster that lost pods causes requests.
func (c *Controller) resetFailureCounts(ctx context.Context, s *syncState) error {
	if s.job == nil || !resources.CreatedByController(s.job) || s.job.Spec.BackoffLimitPerIndex == nil ||
		s.job.DeletionTimestamp != nil || resources.FinishedCondition(s.job) != nil {
		return nil
	}
	wait, recovered := c.recovery.observe(s.key, s.job)
	if wait > 0 {
		s.requeueAfter(wait)
	}
	if !recovered {
		return nil
	}
	counted := map[types.NamespacedName]types.UID{}
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		if hasFailureCount(pod) && pod.DeletionTimestamp == nil {
			counted[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = pod.UID
		}
	})
	if err != nil {
		return err
	}
	for name, uid := range counted {
		if err := c.resetFailureCount(ctx, name, uid); err != nil {
			return err
		}
	}
	c.recovery.done(s.key)
	return nil
}

func (c *Controller) resetFailureCount(ctx context.Context, pod types.NamespacedName, uid types.UID) error {
	change := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:"0",%q:null}}}`,
		uid, batchv1.JobIndexFailureCountAnnotation, batchv1.JobIndexIgnoredFailureCountAnnotation)
	_, err := c.kube.CoreV1().Pods(pod.Namespace).
		Patch(ctx, pod.Name, types.MergePatchType, []byte(change), metav1.PatchOptions{FieldManager: fieldManager})
	if ignoreNotFound(err) != nil {
		return fmt.Errorf("resetting the failure count of pod %q: %w", pod.Name, err)
	}
	klog.FromContext(ctx).V(1).Info("Reset the failure count of a pod that is ready", "pod", pod)
	return nil
}

// hasFailureCount reports whether the predecessors of a pod delay its successor.
func hasFailureCount(pod *corev1.Pod) bool {
	for _, key := range []string{batchv1.JobIndexFailureCountAnnotation, batchv1.JobIndexIgnoredFailureCountAnnotation} {
		if count := pod.Annotations[key]; count != "" && count != "0" {
			return true
		}
	}
	return false
}

// recoveries records which clusters lost pods at an unchanged size. It is empty when a process starts: ranks that
// recover while no process runs keep their count until the cluster loses the next pod.
type recoveries struct {
	clock clock.PassiveClock

	mu sync.Mutex
	of map[cache.ObjectName]*recovery
}

type recovery struct {
	job          types.UID
	size, active int32
	// lost: pods that were active failed or were deleted.
	lost bool
	// since is when all pods were ready again; zero while they are not.
	since time.Time
}

func newRecoveries(c clock.PassiveClock) *recoveries {
	return &recoveries{clock: c, of: map[cache.ObjectName]*recovery{}}
}

// observe records the state of a Job. It reports whether the Job has recovered from a loss of pods, and otherwise how
// long it must still stay ready, 0 if an event comes first.
func (r *recoveries) observe(key cache.ObjectName, job *batchv1.Job) (wait time.Duration, recovered bool) {
	size := resources.Parallelism(job)
	active := min(job.Status.Active, size)
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	if known == nil || known.job != job.UID {
		known = &recovery{job: job.UID, size: size, active: active}
		r.of[key] = known
	}
	if active < known.active && size == known.size {
		known.lost = true
	}
	known.size, known.active = size, active
	switch {
	case !known.lost:
		return 0, false
	case ptr.Deref(job.Status.Ready, 0) < size:
		known.since = time.Time{}
		return 0, false
	case known.since.IsZero():
		known.since = r.clock.Now()
	}
	wait = settleTime - r.clock.Since(known.since)
	return max(0, wait), wait <= 0
}

// done records that the failure counts of a cluster are reset.
func (r *recoveries) done(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil {
		known.lost, known.since = false, time.Time{}
	}
}

func (r *recoveries) forget(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}
