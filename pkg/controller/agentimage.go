package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/controller/resources"
)

// ownContainer is the name of the controller's container in the manifests.
const ownContainer = "controller"

// findAgentImage returns the image of the agent. If none is configured, it is the image of the controller, read from
// the controller's pod: no field of a pod gives a container its own image. The name is that of the spec, since nodes
// may not be able to pull the image by the name in the status.
//
// It repeats requests that fail until the context ends, unless the error is permanent: the Deployment then restarts
// the controller, which is visible, while a controller that waits is not.
func (c *Controller) findAgentImage(ctx context.Context) (resources.AgentImage, error) {
	agent := c.environment.Agent
	if c.pod.Name == "" {
		agent.Image = cmp.Or(agent.Image, resources.DefaultAgentImage)
	}
	if agent.Image != "" {
		return agent, nil
	}
	var container *corev1.Container
	err := wait.PollUntilContextCancel(ctx, versionRetry, true, func(ctx context.Context) (bool, error) {
		pod, err := c.kube.CoreV1().Pods(c.pod.Namespace).Get(ctx, c.pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
			return false, err
		case err != nil:
			klog.FromContext(ctx).Error(err, "Failed to get the pod of the controller, retrying")
			return false, nil
		}
		container, err = ownContainerOf(pod)
		return err == nil, err
	})
	if err != nil {
		return agent, fmt.Errorf("finding the image of the agent in pod %s (or set --agent-image): %w", c.pod, err)
	}
	agent.Image = container.Image
	if agent.PullPolicy == "" {
		agent.PullPolicy = container.ImagePullPolicy
	}
	return agent, nil
}

// ownContainerOf returns the container of the controller. Other tools may have added containers.
func ownContainerOf(pod *corev1.Pod) (*corev1.Container, error) {
	all := pod.Spec.Containers
	if i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == ownContainer }); i >= 0 {
		return &all[i], nil
	}
	if len(all) == 1 {
		return &all[0], nil
	}
	return nil, fmt.Errorf("none of its %d containers has the name %s", len(all), ownContainer)
}
