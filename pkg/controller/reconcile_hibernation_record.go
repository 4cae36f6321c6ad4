package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// recordHibernation records in the ConfigMap that the state is saved, and then deletes the Job. state is nil if no
// broker ran.
func (c *Controller) recordHibernation(ctx context.Context, s *syncState, begun *v1alpha2.HibernationStatus, state *control.HibernateState) error {
	before := resources.RecordedHibernation(s.configMap)
	record := resources.NewHibernationRecord(s.fixed, s.job, *begun, state, before, c.clock.Now())
	switch {
	case state != nil:
	case discards(s.mc):
		record.DiscardState()
	default:
		record.Kept = resources.KeepsState(s.mc)
		record.AddArchive(resources.PlannedArchive(s.configMap))
	}
	if err := c.writeHibernation(ctx, s, record); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Recorded the hibernation", "cause", record.Cause, "kept", record.Kept, "pending", record.Pending, "held", record.Held,
		"bytes", record.Bytes, "location", record.Location)
	return c.deleteHibernatedJob(ctx, s, record)
}

// writeHibernation writes the record into the ConfigMap.
func (c *Controller) writeHibernation(ctx context.Context, s *syncState, record *resources.HibernationRecord) error {
	text, err := record.Annotation()
	if err != nil {
		return err
	}
	if s.configMap == nil {
		return c.replaceConfigMap(ctx, s, text)
	}
	return c.patchConfigMap(ctx, s, map[string]any{"metadata": map[string]any{
		"uid": s.configMap.UID, "annotations": map[string]string{v1alpha2.AnnotationHibernation: text},
	}})
}

// replaceConfigMap creates a ConfigMap with the record, if it was lost and the spec has changed since the Job was
// created. No broker will read it any more.
func (c *Controller) replaceConfigMap(ctx context.Context, s *syncState, record string) error {
	wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, resources.Parallelism(s.job), nil)
	if err != nil {
		return err
	}
	wanted.Annotations[v1alpha2.AnnotationHibernation] = record
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	configMap, created, err := createOwned(ctx, c, s, client, configmaps, wanted, ownership[*corev1.ConfigMap]{})
	if err == nil && !created {
		return stale(configmaps) // it has no record
	}
	s.configMap = configMap
	return err
}

// deleteHibernatedJob deletes a Job that the record names, and no other one.
func (c *Controller) deleteHibernatedJob(ctx context.Context, s *syncState, record *resources.HibernationRecord) error {
	s.stop(&status.Hibernation{
		Phase: status.HibernationStopping, Cause: record.Cause, Message: messages.HibernationDeletes, Status: record.Status(),
	})
	s.observed.Drain = nil
	if s.job.DeletionTimestamp != nil {
		return nil
	}
	err := c.kube.BatchV1().Jobs(s.job.Namespace).Delete(ctx, s.job.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.job.UID},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if ignoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting the Job of a MiniCluster that hibernates: %w", err)
	}
	c.agents.Forget(s.name())
	return c.deleteStoppedServicesPod(ctx, s)
}

// deleteStoppedServicesPod deletes the services pod of a cluster that does not run.
func (c *Controller) deleteStoppedServicesPod(ctx context.Context, s *syncState) error {
	pod := s.servicesPod
	if pod == nil || pod.DeletionTimestamp != nil || !metav1.IsControlledBy(pod, s.mc) {
		return nil
	}
	return c.deleteServicesPod(ctx, s, "the cluster hibernates")
}
