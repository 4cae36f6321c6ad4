package controller

import (
	"context"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// jobDeleted decides whether a Job that was deleted is created again. A program must not run
// twice: only a MiniCluster without program, or whose lead is known never to have started,
// gets another Job. The others have ended, as the Job did where the watch reported it.
//
// What this process has not seen of a Job may have happened, except for a Job that no
// status has recorded: nothing shows that it ever existed.
func (c *Controller) jobDeleted(ctx context.Context, s *syncState) error {
	if s.job != nil || s.foreignJob != nil {
		return nil
	}
	record := c.jobRecords.get(s.key, s.mc.UID)
	if h := s.hibernated; h != nil && (!h.Woken || record == nil || record.job == h.Job) {
		return nil // that Job was deleted on purpose
	}
	switch {
	case record != nil && record.end != nil:
		s.observed.DeletedJobEnd = record.end
		return c.cleanupFinished(ctx, s)
	case !fluxconfig.RunsProgram(s.mc), record == nil && s.mc.Status.JobID == "":
		return nil
	case record != nil && record.started == "" && !recordedReady(s.mc):
		started := false
		err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) {
			started = started || resources.LeadStarted(pod, record.job, s.mc.Name)
		})
		if err != nil || !started {
			return err
		}
	}
	if s.mc.Status.Hibernation != nil {
		if err := c.checkHibernation(ctx, s); err != nil {
			return err
		}
	}
	klog.FromContext(ctx).Info("The Job was deleted after its program may have started: it is not created again", "reason", record.mayHaveStarted())
	s.observed.JobDeleted = true
	return c.cleanupFinished(ctx, s)
}

// checkHibernation returns an error if the cache of ConfigMaps lacks the record because of which a Job is missing: the
// caches of another process may be filled at different times.
func (c *Controller) checkHibernation(ctx context.Context, s *syncState) error {
	config, err := serverReader{c}.configMap(ctx, s.key.Namespace, resources.ConfigMapName(s.mc))
	if err != nil {
		return err
	}
	if config != nil && metav1.IsControlledBy(config, s.mc) && resources.PendingHibernation(s.mc, nil, config) != nil {
		return stale(configmaps)
	}
	return nil
}

// recordedReady reports whether the status that was written last has ready pods.
func recordedReady(mc *v1alpha2.MiniCluster) bool {
	ready := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionReady)
	return mc.Status.ReadySize > 0 || ready != nil && ready.Status == metav1.ConditionTrue && ready.Reason == v1alpha2.ReasonReady
}

// jobHandler records what the watch reports of the Jobs of MiniClusters, and then wakes
// their owners.
func (c *Controller) jobHandler() cache.ResourceEventHandler {
	wake := c.dependentHandler()
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			c.jobRecords.observe(obj)
			wake.OnAdd(obj, initial)
		},
		UpdateFunc: func(before, after any) {
			c.jobRecords.observe(after)
			wake.OnUpdate(before, after)
		},
		DeleteFunc: func(obj any) {
			c.jobRecords.observe(obj)
			c.dropJobRecord(obj)
			wake.OnDelete(obj)
		},
	}
}

// dropJobRecord drops the record of a Job that was deleted with its MiniCluster. Also a standby, which syncs nothing,
// must not collect them.
func (c *Controller) dropJobRecord(obj any) {
	job := object(obj)
	if job == nil {
		return
	}
	owner := metav1.GetControllerOf(job)
	if owner == nil {
		return
	}
	mc, err := c.cached(job.GetNamespace()).miniclusters.MiniClusters(job.GetNamespace()).Get(owner.Name)
	if apierrors.IsNotFound(err) || err == nil && mc.UID != owner.UID {
		c.jobRecords.forgetOf(cache.NewObjectName(job.GetNamespace(), owner.Name), owner.UID)
	}
}

// jobRecords is what the watch has reported of the latest Job of each MiniCluster. Syncs
// would not do: of a Job that ends and is deleted at once they may see nothing.
type jobRecords struct {
	mu sync.Mutex
	of map[cache.ObjectName]*jobRecord
}

type jobRecord struct {
	job, owner types.UID
	// started says why the program may have started; "" if it has not.
	started string
	// active is the number of active pods. losses counts how often it fell below the size, and checked is that number
	// when the lead was inspected last.
	active, losses, checked int32
	// end is the condition that ended the Job; nil while it runs.
	end *batchv1.JobCondition
}

func newJobRecords() *jobRecords {
	return &jobRecords{of: map[cache.ObjectName]*jobRecord{}}
}

// observe takes the state of a Job into account, also the last one before it was deleted.
func (r *jobRecords) observe(obj any) {
	unknown, missed := obj.(cache.DeletedFinalStateUnknown)
	if missed {
		obj = unknown.Obj
	}
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return
	}
	owner := metav1.GetControllerOf(job)
	if owner == nil || owner.Kind != v1alpha2.MiniClusterKind.Kind {
		return
	}
	key := cache.NewObjectName(job.Namespace, owner.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	if known == nil || known.job != job.UID {
		known = &jobRecord{job: job.UID, owner: owner.UID, active: -1}
		r.of[key] = known
	}
	// An agent is ready once its broker is online, and programs start later.
	status := &job.Status
	switch {
	case known.started != "":
	case ptr.Deref(status.Ready, 0) > 0:
		known.started = "pods were ready"
	case status.Succeeded > 0 || status.Failed > 0,
		status.UncountedTerminatedPods != nil && len(status.UncountedTerminatedPods.Succeeded)+len(status.UncountedTerminatedPods.Failed) > 0:
		known.started = "pods have ended"
	case missed:
		known.started = "the watch missed the deletion"
	}
	known.observeActive(job)
	if end := resources.FinishedCondition(job); end != nil {
		known.end = end.DeepCopy()
	}
}

// mayHaveStarted says why the program may have started, for the log.
func (r *jobRecord) mayHaveStarted() string {
	switch {
	case r == nil:
		return "this process has not seen the Job"
	case r.started != "":
		return r.started
	}
	return "the lead had started, or the status had ready pods"
}

// get returns the record of the latest Job of a MiniCluster; nil where there is none.
func (r *jobRecords) get(key cache.ObjectName, owner types.UID) *jobRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	if known == nil || known.owner != owner {
		return nil
	}
	found := *known
	return &found
}

func (r *jobRecords) forget(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}

// forgetOf drops the record of a Job of a MiniCluster of a UID.
func (r *jobRecords) forgetOf(key cache.ObjectName, owner types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil && known.owner == owner {
		delete(r.of, key)
	}
}

// observeActive notices that pods have ended. A failed pod whose index has a limit is only counted as failed when it is
// replaced, after the back-off.
func (r *jobRecord) observeActive(job *batchv1.Job) {
	first := r.active < 0
	lacks := job.Status.StartTime != nil && job.Status.Active < resources.Parallelism(job)-job.Status.Succeeded
	if lacks && (first || job.Status.Active < r.active) {
		r.losses++
	}
	r.active = job.Status.Active
}

// leadIsDue reports whether the lead of a Job has to be inspected, because pods have ended or requestLead was called
// since the last time. It returns what checkedLead needs.
func (r *jobRecords) leadIsDue(key cache.ObjectName, job types.UID) (losses int32, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[key]
	if known == nil || known.job != job {
		return 0, false
	}
	return known.losses, known.losses > known.checked
}

// checkedLead records that the lead was inspected.
func (r *jobRecords) checkedLead(key cache.ObjectName, job types.UID, losses int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil && known.job == job {
		known.checked = losses
	}
}

// requestLead makes the next sync inspect the lead.
func (r *jobRecords) requestLead(key cache.ObjectName, job types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[key]; known != nil && known.job == job {
		known.losses++
	}
}
