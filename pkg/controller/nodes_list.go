package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/resources"
)

// runNodes lists the pods of nodes that change until the context ends.
func (c *Controller) runNodes(ctx context.Context) {
	for {
		name, shutdown := c.nodes.queue.Get()
		if shutdown {
			return
		}
		if ctx.Err() == nil {
			c.listNode(ctx, name)
		}
		c.nodes.queue.Done(name)
	}
}

func (c *Controller) listNode(ctx context.Context, name string) {
	var state drain.NodeState
	obj, exists, err := c.nodes.store.GetByKey(name)
	if err == nil && exists {
		state = c.nodes.stateOf(obj)
	}
	pods, err := c.podsOnNode(ctx, name)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Failed to list the pods of a node that goes away", "node", name)
		c.nodes.queue.AddAfter(name, nodeBindTime)
		return
	}
	if !exists && len(pods) > 0 {
		state = drain.StateOfMissingNode()
	}
	if again := c.nodes.update(name, state, pods); again > 0 {
		c.nodes.queue.AddAfter(name, again)
	}
}

// podsOnNode lists the pods of MiniClusters on a node, in the namespaces of this controller.
func (c *Controller) podsOnNode(ctx context.Context, name string) (map[cache.ObjectName][]drain.NodePod, error) {
	found := map[cache.ObjectName][]drain.NodePod{}
	for namespace := range c.caches {
		options := metav1.ListOptions{
			LabelSelector: v1alpha2.LabelHPASelector, Limit: podPage,
			FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String(),
		}
		for {
			next, err := c.visitPage(ctx, namespace, options, func(pod *corev1.Pod) {
				if one, ok := nodePod(pod); ok {
					key := cache.NewObjectName(pod.Namespace, pod.Labels[v1alpha2.LabelHPASelector])
					found[key] = append(found[key], one)
				}
			})
			if err != nil {
				return nil, fmt.Errorf("listing the pods of node %q: %w", name, err)
			}
			if options.Continue = next; next == "" {
				break
			}
		}
	}
	for _, pods := range found {
		slices.SortFunc(pods, func(a, b drain.NodePod) int { return strings.Compare(a.Name, b.Name) })
	}
	return found, nil
}

// nodePod returns the parts of a pod that decide about its rank; false if it is not one of a Job, or has ended.
func nodePod(pod *corev1.Pod) (drain.NodePod, bool) {
	index, indexed := resources.PodIndex(pod)
	owner := metav1.GetControllerOf(pod)
	if !indexed || owner == nil || resources.PodEnded(pod) {
		return drain.NodePod{}, false
	}
	state := pod.Labels[v1alpha2.LabelRankState]
	if state == v1alpha2.RankIdle {
		state = "" // its rank is not drained
	}
	return drain.NodePod{
		Name: pod.Name, UID: pod.UID, Index: index, Job: owner.UID, State: state,
		Terminating: pod.DeletionTimestamp != nil,
	}, true
}
