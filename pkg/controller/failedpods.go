package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// minorFailedPodsCounted is the first minor version of Kubernetes whose Job controller counts a failed pod of a Job
// with a limit per index before it replaces it. Earlier, the API server rejects that status ("cannot set more ready
// pods than active"), so the pod counts as ready for the whole back-off of its index, up to ten minutes.
const minorFailedPodsCounted = 36

// failedPods lists and watches the failed pods of a namespace, or of all.
type failedPods struct{ pods corev1client.PodInterface }

// List implements listWatcher.
func (f failedPods) List(ctx context.Context, options metav1.ListOptions) (*corev1.PodList, error) {
	return f.pods.List(ctx, onlyFailed(options))
}

// Watch implements listWatcher.
func (f failedPods) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return f.pods.Watch(ctx, onlyFailed(options))
}

func onlyFailed(options metav1.ListOptions) metav1.ListOptions {
	options.FieldSelector = fields.OneTermEqualSelector("status.phase", string(corev1.PodFailed)).String()
	return options
}

// watchFailedPods caches the failed pods of MiniClusters until the context ends, if the Job controller does not count
// them. It waits until the caches are filled.
func (c *Controller) watchFailedPods(ctx context.Context, running *sync.WaitGroup) error {
	if c.environment.AtLeast(minorFailedPodsCounted) {
		return nil
	}
	var synced []cache.InformerSynced
	for namespace, caches := range c.caches {
		pods := failedPods{c.kube.CoreV1().Pods(namespace)}
		informer := newInformer(c.kube, pods, &corev1.Pod{}, v1alpha2.LabelHPASelector, failedOnly)
		if err := errors.Join(informer.AddIndexers(leadIndexers()), informer.SetTransform(failedOnly)); err != nil {
			return fmt.Errorf("indexing failed pods: %w", err)
		}
		registration, err := informer.AddEventHandler(c.failedPodHandler())
		if err != nil {
			return fmt.Errorf("registering with the informer of failed pods: %w", err)
		}
		caches.failed = informer.GetIndexer()
		synced = append(synced, registration.HasSynced)
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	cache.WaitForCacheSync(ctx.Done(), synced...)
	return nil
}

// failedPodHandler enqueues the MiniCluster of a pod that fails, is replaced or is deleted.
func (c *Controller) failedPodHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: c.wakeCluster,
		UpdateFunc: func(before, after any) {
			// It loses its finalizer after the Job's status has counted the new pod.
			if len(object(before).GetFinalizers()) != len(object(after).GetFinalizers()) {
				c.wakeCluster(after)
			}
		},
		DeleteFunc: c.wakeCluster,
	}
}

// failedOnly keeps the parts of a failed pod that the controller reads.
func failedOnly(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	trimmed, err := leadOnly(pod)
	if err != nil {
		return nil, err
	}
	trimmed.(*corev1.Pod).Finalizers = pod.Finalizers
	return trimmed, nil
}

// withoutFailedPods returns the Job with a status that does not count failed pods as active and ready. The Job
// controller removes its finalizer from a failed pod when it replaces it.
func (c *Controller) withoutFailedPods(key cache.ObjectName, job *batchv1.Job) *batchv1.Job {
	failed := c.cached(key.Namespace).failed
	if job == nil || failed == nil {
		return job
	}
	pods, err := failed.ByIndex(leadsByCluster, key.String())
	if err != nil {
		return job // without the index, which is always there
	}
	waiting := int32(0)
	for _, obj := range pods {
		pod := obj.(*corev1.Pod)
		index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
		if err == nil && index < int(resources.Parallelism(job)) && metav1.IsControlledBy(pod, job) &&
			slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) {
			waiting++
		}
	}
	live := max(0, resources.Parallelism(job)-job.Status.Succeeded-waiting)
	if waiting == 0 || job.Status.Active <= live {
		return job
	}
	job = job.DeepCopy()
	job.Status.Active = live
	job.Status.Ready = new(min(ptr.Deref(job.Status.Ready, 0), live))
	return job
}
