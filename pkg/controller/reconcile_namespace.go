package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// namespaceHandler enqueues the MiniClusters of a namespace that begins to terminate.
func (c *Controller) namespaceHandler() cache.ResourceEventHandler {
	enqueue := func(obj any) {
		namespace := object(obj)
		if namespace == nil || namespace.GetDeletionTimestamp() == nil {
			return
		}
		name := namespace.GetName()
		mcs, err := c.cached(name).miniclusters.MiniClusters(name).List(labels.Everything())
		if err != nil {
			return // a cache does not fail
		}
		for _, mc := range mcs {
			c.enqueue(cache.MetaObjectToName(mc))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, after any) { enqueue(after) },
	}
}

// namespaceTerminates reports whether the cache shows that a namespace is being deleted. A
// controller of some namespaces only has no such cache; see abandonRejectedJob.
func (c *Controller) namespaceTerminates(name string) bool {
	lister := c.cached(name).namespaces
	if lister == nil {
		return false
	}
	namespace, err := lister.Get(name)
	return err == nil && namespace.DeletionTimestamp != nil
}

// abandon deletes the Job of a MiniCluster whose namespace is being deleted. Kubernetes deletes the pods of a
// namespace first and everything else once they are gone (KEP-5080). But if the Job has a limit of failures per index
// (KEP-3850), the Job controller keeps the last failed pod of an index until it has created another one, which a
// terminating namespace rejects. Without the Job, nothing keeps the pods.
func (c *Controller) abandon(ctx context.Context, mc *v1alpha2.MiniCluster) error {
	job, err := c.cached(mc.Namespace).jobs.Jobs(mc.Namespace).Get(resources.JobName(mc))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the Job from the cache: %w", err)
	}
	if !metav1.IsControlledBy(job, mc) || job.DeletionTimestamp != nil {
		return nil
	}
	err = c.kube.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &job.UID},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if ignoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting the Job of a MiniCluster in a namespace that is being deleted: %w", err)
	}
	klog.FromContext(ctx).Info("Deleted the Job because its namespace is being deleted")
	return nil
}

// abandonRejectedJob abandons the Job if the API server rejects a pod of it because the namespace is being deleted.
func (c *Controller) abandonRejectedJob(ctx context.Context, mc *v1alpha2.MiniCluster, rejection error) error {
	if !apierrors.HasStatusCause(rejection, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return c.abandon(ctx, mc)
}
