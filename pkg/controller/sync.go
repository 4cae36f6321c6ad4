package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// step is a part of a sync. Each step reads the state that earlier steps recorded, does what its name says, and
// records what the status should report.
type step struct {
	name string
	run  func(context.Context, *syncState) error
}

// stepTable returns the steps of a sync, in order.
func (c *Controller) stepTable() []step {
	return []step{
		{"stoppedCluster", c.stoppedCluster},
		{"ensureExists", c.ensureExists},
		{"jobDeleted", c.jobDeleted},
		{"validate", c.validate},
		{"fillSize", c.fillSize},
		{"enforceBounds", c.enforceBounds},
		{"waitForOldPods", c.waitForOldPods},
		{"service", c.service},
		{"restoreSource", c.restoreSource},
		{"config", c.config},
		{"volumes", c.volumes},
		{"hibernate", c.hibernate},
		{"job", c.job},
		{"reduceSize", c.reduceSize},
		{"size", c.size},
		{"sidecars", c.sidecars},
		{"resetFailureCounts", c.resetFailureCounts},
	}
}

// syncState is the state of one sync.
type syncState struct {
	key cache.ObjectName
	// read reads the objects that the state does not hold.
	read reader
	// mc is a copy with all defaults.
	mc *v1alpha2.MiniCluster
	// sizeUnset: spec.size is not set.
	sizeUnset bool
	// ownsSize: the controller owns spec.size, which is a conflict for a server-side apply.
	ownsSize bool
	// fixed are the values that were fixed when the cluster was created.
	fixed resources.Fixed
	// Objects that belong to mc; nil if they do not exist.
	job       *batchv1.Job
	configMap *corev1.ConfigMap
	service   *corev1.Service
	// foreignJob and foreignConfigMap have names of mc but belong to something else.
	foreignJob       *batchv1.Job
	foreignConfigMap *corev1.ConfigMap
	// servicesPod has the name of the pod of spec.services. It may belong to something else.
	servicesPod *corev1.Pod
	// lead is the pod of the lead broker; nil if none runs or is to run, or if the server is too old for its cache.
	lead *corev1.Pod
	// hibernated is the hibernation because of which there is no Job; nil if there is one, or none for another reason.
	hibernated *resources.HibernationRecord
	// stopped: later steps do not apply to a cluster that hibernates.
	stopped bool
	// missingAuxiliaries: an object that the step sidecars creates does not exist.
	missingAuxiliaries bool
	// hasHistory: objects were created for mc before this sync.
	hasHistory bool
	// observed is what the status reports in addition to the objects.
	observed status.Observed
	// undrained is why the Job shrinks before its ranks are idle; nil if they are idle.
	undrained *status.Event
	delay
}

// sync moves a MiniCluster towards its spec, one step after the other, and reports the result. It writes the status
// even after a failure, unless a cache was stale. It returns the time until another sync is due, 0 for none.
func (c *Controller) sync(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	s, err := c.load(ctx, key)
	if err != nil || s == nil {
		return 0, err
	}
	// A policy that rejects the patch of the managers does not keep the cluster from its spec.
	switch err = c.disownSize(ctx, s); {
	case skipsStatus(err):
	case s.mc.Status.Finished():
		err = errors.Join(err, c.cleanupFinished(ctx, s))
	default:
		err = errors.Join(err, c.run(ctx, s))
	}
	if !skipsStatus(err) {
		err = errors.Join(err, c.autoscaling(ctx, s), c.nodeDrains(ctx, s))
	}
	if skipsStatus(err) {
		return s.after, err
	}
	c.diagnose(ctx, s)
	current, writeErr := c.writeStatus(ctx, s, err)
	if err := errors.Join(writeErr, err); err != nil || !current {
		return s.after, err
	}
	if s.observed.CertificateLost {
		s.requeueAfter(recheckSecret)
	}
	return s.after, c.deleteFinished(ctx, s)
}

func (c *Controller) run(ctx context.Context, s *syncState) error {
	for _, step := range c.steps {
		if err := step.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if s.observed.JobDeleted || s.observed.DeletedJobEnd != nil || s.stopped {
			return nil // nothing is created any more
		}
	}
	return nil
}

// load reads the objects of a MiniCluster; it returns nil if there is nothing to do. It reads the caches, and the API
// server if a cache has been stale for too long.
func (c *Controller) load(ctx context.Context, key cache.ObjectName) (*syncState, error) {
	// Check this before reading the caches, which may be updated in between.
	staleErr := c.consistency.EnsureReady(key)
	if waited := c.consistency.WaitedFor(key, c.clock.Now()); waited >= staleTimeout {
		return c.loadFromServer(ctx, key, waited)
	}
	return c.loadFrom(ctx, cacheReader{c}, key, staleErr)
}

// loadFrom reads the objects of a MiniCluster. A stale cache does not delay its deletion.
func (c *Controller) loadFrom(ctx context.Context, read reader, key cache.ObjectName, staleErr error) (*syncState, error) {
	mc, err := read.miniCluster(ctx, key)
	if err != nil {
		return nil, err
	}
	if mc == nil {
		c.forget(key)
		return nil, nil
	}
	if mc.DeletionTimestamp != nil {
		return nil, c.finalize(ctx, mc)
	}
	if c.namespaceTerminates(key.Namespace) {
		return nil, c.abandon(ctx, mc)
	}
	if staleErr != nil {
		return nil, staleErr
	}
	s := &syncState{key: key, read: read}
	s.setMiniCluster(mc)
	s.observed.Drain = s.mc.Status.Drain.DeepCopy()
	if err := c.loadOwned(ctx, s); err != nil {
		return nil, err
	}
	if err := c.loadLead(s); err != nil {
		return nil, err
	}
	return s, c.loadAuxiliaries(ctx, s)
}

// loadOwned reads the Job and the ConfigMap, which record the fixed values.
func (c *Controller) loadOwned(ctx context.Context, s *syncState) error {
	job, err := s.read.job(ctx, s.key.Namespace, resources.JobName(s.mc))
	if err != nil {
		return err
	}
	configMap, err := s.read.configMap(ctx, s.key.Namespace, resources.ConfigMapName(s.mc))
	if err != nil {
		return err
	}
	s.job, s.foreignJob = partitionOwned(s.mc, job)
	s.job = c.withoutFailedPods(s.key, s.job)
	s.configMap, s.foreignConfigMap = partitionOwned(s.mc, configMap)
	if err := c.adoptOrphans(ctx, s); err != nil {
		return err
	}
	s.hibernated = resources.PendingHibernation(s.mc, s.job, s.configMap)
	if jobAhead(s.mc, s.job) {
		if err := c.resetGeneration(ctx, s); err != nil {
			return err
		}
	}
	s.hasHistory = s.configMap != nil || s.mc.Status.MaximumSize > 0 || hasFinalizer(s.mc) || isRestored(s.mc)
	if err := c.adopt(ctx, s); err != nil {
		return err
	}
	s.fixed = resources.ResolveFixed(s.mc, s.job, s.configMap)
	return nil
}

// loadAuxiliaries reads the Services and the services pod.
func (c *Controller) loadAuxiliaries(ctx context.Context, s *syncState) error {
	var err error
	if s.service, err = s.read.service(ctx, s.key.Namespace, s.fixed.Headless); err != nil {
		return err
	}
	if s.servicesPod, err = s.read.pod(ctx, s.key.Namespace, resources.ServicesPodName(s.mc)); err != nil {
		return err
	}
	s.hasHistory = s.hasHistory || s.service != nil && len(s.service.OwnerReferences) == 0
	s.missingAuxiliaries, err = c.lacksAuxiliaries(ctx, s)
	return err
}

// name returns the key without the types of client-go.
func (s *syncState) name() types.NamespacedName { return types.NamespacedName(s.key) }

func (s *syncState) setMiniCluster(mc *v1alpha2.MiniCluster) {
	s.mc = mc.DeepCopy()
	s.sizeUnset = mc.Spec.Size == nil
	s.ownsSize = slices.ContainsFunc(mc.ManagedFields, ownsSpec)
	s.mc.ManagedFields = nil // those of the cache are not complete
	v1alpha2.SetDefaults(s.mc)
}

// partitionOwned returns an object as the first result if it belongs to a MiniCluster, by UID, otherwise as the
// second.
func partitionOwned[T interface {
	comparable
	metav1.Object
}](mc *v1alpha2.MiniCluster, o T) (owned, foreign T) {
	var none T
	switch {
	case o == none:
		return none, none
	case metav1.IsControlledBy(o, mc):
		return o, none
	default:
		return none, o
	}
}

// forget drops all records of a deleted MiniCluster.
func (c *Controller) forget(key cache.ObjectName) {
	name := types.NamespacedName(key)
	c.consistency.Clear(key)
	c.throttle.Forget(name)
	c.diagnosisSchedule.Forget(name)
	c.agents.Forget(name)
	c.drainTimers.Forget(name)
	c.limiters.forget(key)
	c.recovery.forget(key)
	c.repairs.forget(key)
	c.relabeled.forget(key)
	c.jobRecords.forget(key)
	c.unschedulable.done(key)
	c.idleRanks.forget(key)
	if c.nodes != nil {
		c.nodes.forgetCluster(key)
	}
}

// deleteFinished deletes a finished MiniCluster whose spec says so, once its end has been
// reported.
func (c *Controller) deleteFinished(ctx context.Context, s *syncState) error {
	if !s.mc.Spec.Cleanup || !s.mc.Status.Finished() {
		return nil
	}
	err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).Delete(ctx, s.mc.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.mc.UID},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if ignoreNotFound(err) != nil {
		return fmt.Errorf("deleting the finished MiniCluster: %w", err)
	}
	klog.FromContext(ctx).Info("Deleted the finished MiniCluster because of spec.cleanup")
	return nil
}
