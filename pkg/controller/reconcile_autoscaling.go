package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// recheckAutoscaler is how often the autoscaler of a MiniCluster is read. It is not watched, so that MiniClusters
// without spec.autoscaling cost nothing.
const recheckAutoscaler = 30 * time.Second

// autoscaling keeps the HorizontalPodAutoscaler that spec.autoscaling describes, and reports what it does. A
// MiniCluster without that field, and without the condition of an earlier one, takes no request.
func (c *Controller) autoscaling(ctx context.Context, s *syncState) error {
	var err error
	switch {
	case s.mc.Spec.Autoscaling != nil && !s.mc.Status.Finished():
		if s.job == nil || s.observed.Invalid != "" {
			return nil
		}
		s.requeueAfter(recheckAutoscaler)
		err = c.keepAutoscaler(ctx, s)
	case meta.FindStatusCondition(s.mc.Status.Conditions, v1alpha2.ConditionAutoscaling) != nil:
		err = c.removeAutoscaler(ctx, s)
		if err == nil {
			s.observed.Autoscaling = &status.Autoscaling{Removed: true}
		}
	}
	if err != nil {
		return &auxiliaryError{fmt.Errorf("autoscaling: %w", err)}
	}
	return nil
}

func (c *Controller) keepAutoscaler(ctx context.Context, s *syncState) error {
	client := c.kube.AutoscalingV2().HorizontalPodAutoscalers(s.mc.Namespace)
	hpa, err := client.Get(ctx, resources.AutoscalerName(s.mc), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("getting HorizontalPodAutoscaler %q: %w", resources.AutoscalerName(s.mc), err)
	}
	exists := err == nil && metav1.IsControlledBy(hpa, s.mc)
	if !exists || ambiguous(hpa) {
		other, err := c.otherAutoscaler(ctx, s.mc)
		if err != nil {
			return err
		}
		if other != "" {
			s.observed.Autoscaling = &status.Autoscaling{Reason: v1alpha2.ReasonOtherAutoscaler, Message: messages.OtherAutoscaler(other)}
			if exists {
				return c.removeAutoscaler(ctx, s)
			}
			return nil
		}
	}
	wanted := resources.BuildAutoscaler(s.mc, s.fixed, c.environment)
	if exists && !sameMetricType(hpa, wanted) {
		// Their other fields differ too, and a patch would keep those that the new one leaves unset.
		if err := c.removeAutoscaler(ctx, s); err != nil {
			return err
		}
		exists = false
	}
	drifted, err := differs(hpa, wanted, exists)
	if err != nil {
		return err
	}
	switch {
	case !exists:
		if hpa, _, err = createOwned(ctx, c, s, client, autoscalers, wanted, ownership[*autoscalingv2.HorizontalPodAutoscaler]{}); err != nil {
			return err
		}
		klog.FromContext(ctx).Info("Created the HorizontalPodAutoscaler", "name", hpa.Name)
	case drifted:
		hpa, err = patch(ctx, c, s.key, client, autoscalers, hpa.Name, types.MergePatchType, map[string]any{
			"metadata": map[string]any{"uid": hpa.UID}, "spec": wanted.Spec,
		})
		if err != nil {
			return err
		}
	}
	s.observed.Autoscaling = autoscalerState(s.mc, hpa, s.fixed.Maximum)
	return nil
}

func sameMetricType(a, b *autoscalingv2.HorizontalPodAutoscaler) bool {
	return len(a.Spec.Metrics) == 1 && len(b.Spec.Metrics) == 1 && a.Spec.Metrics[0].Type == b.Spec.Metrics[0].Type
}

// differs reports whether a field that is wanted has another value in an autoscaler that exists. The API server sets
// defaults of other fields.
func differs(hpa, wanted *autoscalingv2.HorizontalPodAutoscaler, exists bool) (bool, error) {
	if !exists {
		return false, nil
	}
	text, err := json.Marshal(wanted.Spec)
	if err != nil {
		return false, fmt.Errorf("encoding the HorizontalPodAutoscaler: %w", err)
	}
	merged := hpa.Spec.DeepCopy()
	if err := json.Unmarshal(text, merged); err != nil {
		return false, fmt.Errorf("decoding the HorizontalPodAutoscaler: %w", err)
	}
	return !equality.Semantic.DeepEqual(*merged, hpa.Spec), nil
}

// otherAutoscaler returns the name of an autoscaler that a user has created for a MiniCluster, or "".
func (c *Controller) otherAutoscaler(ctx context.Context, mc *v1alpha2.MiniCluster) (string, error) {
	// Resource version 0 lets the API server answer from its cache.
	list, err := c.kube.AutoscalingV2().HorizontalPodAutoscalers(mc.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return "", fmt.Errorf("listing HorizontalPodAutoscalers: %w", err)
	}
	for i := range list.Items {
		if hpa := &list.Items[i]; resources.Scales(hpa, mc) && !metav1.IsControlledBy(hpa, mc) {
			return hpa.Name, nil
		}
	}
	return "", nil
}

// removeAutoscaler deletes the autoscaler of a MiniCluster, if the controller has created it.
func (c *Controller) removeAutoscaler(ctx context.Context, s *syncState) error {
	client, name := c.kube.AutoscalingV2().HorizontalPodAutoscalers(s.mc.Namespace), resources.AutoscalerName(s.mc)
	hpa, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(hpa, s.mc) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("getting HorizontalPodAutoscaler %q: %w", name, err)
	}
	err = client.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &hpa.UID}})
	if ignoreNotFound(err) != nil {
		return fmt.Errorf("deleting HorizontalPodAutoscaler %q: %w", name, err)
	}
	klog.FromContext(ctx).Info("Deleted the HorizontalPodAutoscaler", "name", name)
	return nil
}

// ambiguous reports whether several autoscalers scale the same pods.
func ambiguous(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	active := autoscalerCondition(hpa, autoscalingv2.ScalingActive)
	return active != nil && active.Status == corev1.ConditionFalse && active.Reason == "AmbiguousSelector"
}

func autoscalerCondition(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range hpa.Status.Conditions {
		if hpa.Status.Conditions[i].Type == kind {
			return &hpa.Status.Conditions[i]
		}
	}
	return nil
}

// autoscalerState returns what an autoscaler does, from its own conditions. Limit is the maximum of the cluster.
func autoscalerState(mc *v1alpha2.MiniCluster, hpa *autoscalingv2.HorizontalPodAutoscaler, limit int32) *status.Autoscaling {
	for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive} {
		if c := autoscalerCondition(hpa, kind); c != nil && c.Status == corev1.ConditionFalse {
			return &status.Autoscaling{
				Reason: v1alpha2.ReasonMetricUnavailable, Message: messages.AutoscalerInactive(hpa.Name, c.Reason, c.Message),
			}
		}
	}
	if autoscalerCondition(hpa, autoscalingv2.ScalingActive) == nil {
		return &status.Autoscaling{Reason: v1alpha2.ReasonAutoscalerPending, Message: messages.AutoscalerPending(hpa.Name)}
	}
	minimum := int32(1)
	if hpa.Spec.MinReplicas != nil {
		minimum = *hpa.Spec.MinReplicas
	}
	return &status.Autoscaling{
		Active: true, Reason: v1alpha2.ReasonAutoscalerActive,
		Message: messages.AutoscalerActive(hpa.Name, minimum, hpa.Spec.MaxReplicas, limit, string(mc.Spec.Autoscaling.Metric), runsOneCommand(mc)),
	}
}

// runsOneCommand reports whether the cluster runs a command on the nodes that it has when it starts.
func runsOneCommand(mc *v1alpha2.MiniCluster) bool {
	i := mc.FluxContainerIndex()
	if mc.Spec.Interactive || i < 0 {
		return false
	}
	flux := &mc.Spec.Containers[i]
	return flux.Command != "" && !flux.Launcher && !flux.Batch
}
