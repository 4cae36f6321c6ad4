package controller

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// step is a part of a sync. Each looks at what the steps before it left in the
// state, does at most what its name says, and records what is worth reporting.
type step struct {
	name string
	run  func(context.Context, *syncState) error
}

// stepTable is what a sync does, in order.
func (c *Controller) stepTable() []step {
	return []step{
		{"confirm", c.confirm},
		{"validate", c.validate},
		{"bounds", c.bounds},
		{"former", c.former},
		{"network", c.network},
		{"config", c.config},
		{"volumes", c.clusterVolumes},
		{"job", c.job},
		{"size", c.size},
		{"beside", c.beside},
	}
}

// syncState is what one sync knows.
type syncState struct {
	key cache.ObjectName
	// mc is a copy with all defaults set.
	mc *v1alpha2.MiniCluster
	// facts were decided when the cluster was made.
	fixed resources.Fixed
	// environment is that of the controller.
	environment resources.Environment

	// Objects that belong to mc; nil where they don't exist.
	job     *batchv1.Job
	conf    *corev1.ConfigMap
	service *corev1.Service
	// foreignJob and foreignConf hold our names but belong to something else.
	foreignJob  *batchv1.Job
	foreignConf *corev1.ConfigMap
	// servicesPod holds the name of the pod of spec.services, whoever it belongs to.
	servicesPod *corev1.Pod
	// lacking tells that an object beside the Job is missing.
	lacking bool
	// existed tells of a life before this sync: something was made already.
	existed bool

	seen observations
}

// observations are what the status reports beside the objects themselves.
type observations struct {
	// invalid says what is wrong with fields that may change after creation.
	invalid string
	// edited are fields that were edited although they are fixed.
	edited []string
	// certificateLost: the Secret is gone while the Job that uses it exists.
	certificateLost bool
	// configLost: the ConfigMap is gone while the Job that uses it exists, and the
	// spec describes another one.
	configLost bool
	// drain is the wait before the Job shrinks, also one that is over but whose ranks
	// have not been given back; draining says what is waited for.
	drain    *v1alpha2.DrainStatus
	draining string
	// undrained is the event that tells why the Job shrinks before its ranks are idle.
	undrained *event
	// growthRefused: a larger size was asked for, but certificateLost.
	growthRefused bool
	// elsewhere: somebody else changed the Job's size within the bounds.
	elsewhere string
	// problem is why pods don't become ready, nil while that is not known.
	problem *problem
	// cause is why the Job has failed, beside its own words.
	cause string
}

// sync makes the world look like a MiniCluster wants it, one step after the
// other, and reports how far it came. The status is written after every sync,
// also a failed one, unless the sync worked on outdated knowledge.
func (c *Controller) sync(ctx context.Context, key cache.ObjectName) error {
	s, err := c.load(ctx, key)
	if err != nil || s == nil {
		return err
	}
	if s.mc.Status.Finished() {
		err = c.retire(ctx, s)
	} else {
		err = c.run(ctx, s)
	}
	if isStale(err) || isGoing(err) {
		return err
	}
	c.look(ctx, s)
	reportErr := c.report(ctx, s, err)
	if delay := (*delayError)(nil); err != nil && errors.As(reportErr, &delay) {
		// The status is due in a moment; the error still decides how patiently the
		// rest is tried again.
		c.queue.AddAfter(key, delay.after)
		return err
	}
	if reportErr != nil && err != nil {
		return fmt.Errorf("%w (before that: %s)", reportErr, err.Error())
	}
	if reportErr != nil {
		return reportErr
	}
	if s.seen.certificateLost {
		c.queue.AddAfter(key, recheckSecret)
	}
	if err != nil {
		return err
	}
	return c.cleanup(ctx, s)
}

func (c *Controller) run(ctx context.Context, s *syncState) error {
	for _, step := range c.steps {
		if err := step.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// load gathers what the caches know of a MiniCluster; nil when there is nothing to
// do for it.
func (c *Controller) load(ctx context.Context, key cache.ObjectName) (*syncState, error) {
	// Asked before the caches are read: they may catch up in between.
	stale := c.fresh.check(key)
	mc, err := c.cached(key.Namespace).miniclusters.MiniClusters(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the MiniCluster from the cache: %w", err)
	}
	if mc.DeletionTimestamp != nil {
		return nil, c.finalize(ctx, mc)
	}
	if stale != nil {
		return nil, stale
	}
	s := &syncState{key: key, environment: c.environment}
	s.set(mc)
	s.seen.drain = s.mc.Status.Drain.DeepCopy()

	job, err := c.cached(key.Namespace).jobs.Jobs(key.Namespace).Get(resources.JobName(mc))
	if err := ignoreNotFound(err); err != nil {
		return nil, fmt.Errorf("reading the Job from the cache: %w", err)
	}
	s.job, s.foreignJob = ours(mc, job)
	if outdated(mc, s.job) {
		return nil, &staleError{what: string(miniclusters)}
	}
	conf, err := c.cached(key.Namespace).configmaps.ConfigMaps(key.Namespace).Get(resources.ConfigMapName(mc))
	if err := ignoreNotFound(err); err != nil {
		return nil, fmt.Errorf("reading the ConfigMap from the cache: %w", err)
	}
	s.conf, s.foreignConf = ours(mc, conf)

	s.existed = s.conf != nil || s.mc.Status.MaximumSize > 0 || hasFinalizer(s.mc)
	if err := c.adopt(ctx, s); err != nil {
		return nil, err
	}
	s.fixed = resources.ResolveFixed(s.mc, s.job, s.conf)

	s.service, err = c.cached(key.Namespace).services.Services(key.Namespace).Get(s.fixed.Headless)
	if err := ignoreNotFound(err); err != nil {
		return nil, fmt.Errorf("reading the Service from the cache: %w", err)
	}
	s.servicesPod, err = c.cached(key.Namespace).pods.Pods(key.Namespace).Get(resources.ServicesPodName(mc))
	if err := ignoreNotFound(err); err != nil {
		return nil, fmt.Errorf("reading the services pod from the cache: %w", err)
	}
	s.lacking, err = c.lacksBeside(s)
	return s, err
}

func (s *syncState) set(mc *v1alpha2.MiniCluster) {
	s.mc = mc.DeepCopy()
	v1alpha2.SetDefaults(s.mc)
}

// ours sorts an object of one of our names: into the first result when it belongs
// to a MiniCluster, by UID, else into the second.
func ours[T interface {
	comparable
	metav1.Object
}](mc *v1alpha2.MiniCluster, o T) (mine, foreign T) {
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

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// forget drops all that is remembered of a MiniCluster that is gone.
func (c *Controller) forget(key cache.ObjectName) {
	c.fresh.forget(key)
	c.pace.forget(key)
	c.slow.forget(key)
	c.leads.forget(key)
	c.stales.Forget(key)
	c.held.Forget(key)
	c.waits.Forget(key)
}

// cleanup deletes a finished MiniCluster that asks for it, once its end has been
// reported.
func (c *Controller) cleanup(ctx context.Context, s *syncState) error {
	if !s.mc.Spec.Cleanup || !s.mc.Status.Finished() {
		return nil
	}
	err := c.flux.FluxFrameworkV1alpha2().MiniClusters(s.mc.Namespace).Delete(ctx, s.mc.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.mc.UID},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if err := ignoreNotFound(err); err != nil {
		return fmt.Errorf("deleting the finished MiniCluster: %w", err)
	}
	klog.FromContext(ctx).Info("Deleted the finished MiniCluster, as its spec asks")
	return nil
}
