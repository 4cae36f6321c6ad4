package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// AddNodes creates the simulated nodes node-0 to node-(n-1) if they do not exist, and waits until pods can be
// scheduled on them.
func (c *Cluster) AddNodes(ctx context.Context, n int) error {
	for i := range n {
		_, err := c.client.CoreV1().Nodes().Create(ctx, c.newNode(fmt.Sprintf("node-%d", i)), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating a simulated node: %w", err)
		}
	}
	return c.WaitForNodes(ctx)
}

func (c *Cluster) newNode(name string) *corev1.Node {
	var annotations map[string]string
	if c.options.MetricsServer {
		annotations = map[string]string{metricsPathAnnotation: "/metrics/nodes/" + name + "/metrics/resource"}
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: annotations,
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    c.options.NodeCapacity.DeepCopy(),
			Allocatable: c.options.NodeCapacity.DeepCopy(),
		},
	}
}

// WaitForNodes waits until pods can be scheduled on every node that exists.
func (c *Cluster) WaitForNodes(ctx context.Context) error {
	missing := sets.New[string]()
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the nodes: %w", err)
	}
	update := func(node *corev1.Node) {
		if usable(node) {
			missing.Delete(node.Name)
		} else {
			missing.Insert(node.Name)
		}
	}
	for i := range nodes.Items {
		update(&nodes.Items[i])
	}
	if missing.Len() == 0 {
		return nil
	}
	source := cache.NewListWatchFromClient(c.client.CoreV1().RESTClient(), "nodes", metav1.NamespaceAll, fields.Everything())
	_, err = watchtools.Until(ctx, nodes.ResourceVersion, source, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		if !ok {
			return false, apierrors.FromObject(event.Object)
		}
		if event.Type == watch.Deleted {
			missing.Delete(node.Name)
		} else {
			update(node)
		}
		return missing.Len() == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for nodes %v: %w", sets.List(missing), err)
	}
	return nil
}

// usable reports whether the scheduler uses the node, which is a moment after the node reports that it is ready.
func usable(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
