package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// waitForNode waits until the node is registered and accepts pods.
func (n *Node) waitForNode(ctx context.Context) error {
	source := cache.NewListWatchFromClient(n.Client().CoreV1().RESTClient(), "nodes", metav1.NamespaceAll,
		fields.OneTermEqualSelector(metav1.ObjectNameField, Name))
	_, err := watchtools.UntilWithSync(ctx, source, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		return event.Type == watch.Added, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the kubelet (its log is %s): %w", n.path("kubelet.log"), err)
	}
	if err := n.WaitForNodes(ctx); err != nil {
		return fmt.Errorf("%w (the kubelet's log is %s)", err, n.path("kubelet.log"))
	}
	return nil
}

// Exec runs a program in a container and returns its output. An empty name selects the pod's default container.
func (n *Node) Exec(ctx context.Context, namespace, pod, container string, command ...string) (string, error) {
	args := []string{"exec", "--namespace=" + namespace, pod}
	if container != "" {
		args = append(args, "--container="+container)
	}
	return n.Kubectl(ctx, append(append(args, "--"), command...)...)
}

// Logs returns the output of a container. An empty name selects the pod's default container.
func (n *Node) Logs(ctx context.Context, namespace, pod, container string) (string, error) {
	args := []string{"logs", "--namespace=" + namespace, pod}
	if container != "" {
		args = append(args, "--container="+container)
	}
	return n.Kubectl(ctx, args...)
}
