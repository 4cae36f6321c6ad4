package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/controller/diagnosis"
)

// autoscalerReport adds what a node autoscaler says about a pod that fits no node. Only a controller that watches nodes
// has the right to list events.
func (c *Controller) autoscalerReport(ctx context.Context, s *syncState, p *diagnosis.Problem) (*diagnosis.Problem, error) {
	if c.nodes == nil {
		return p, nil
	}
	if err := c.spend(ctx, 1); err != nil {
		return nil, err
	}
	events, err := c.kube.EventsV1().Events(s.mc.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"regarding.kind": "Pod", "regarding.name": p.Pod.Name}.String(),
	})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Failed to list the events of a pod", "pod", p.Pod.Name, "reason", err.Error())
		return p, nil
	}
	return diagnosis.WithAutoscaler(p, events.Items, c.clock.Now()), nil
}
