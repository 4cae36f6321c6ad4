package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations that control simulated pods, on a running pod or in a pod template. test/kube/kwok/stages.yaml defines
// them.
const (
	// AnnotationStartAfter is how long a scheduled pod stays Pending, such as "3s".
	AnnotationStartAfter = "sim.minicluster.internal/start-after"
	// AnnotationUnready keeps a running pod from being Ready while it is "true".
	AnnotationUnready = "sim.minicluster.internal/unready"
	// AnnotationExitCode ends a running pod: "0" as Succeeded, any other number as Failed.
	AnnotationExitCode = "sim.minicluster.internal/exit-code"
	// AnnotationExitAfter delays that, such as "5s".
	AnnotationExitAfter = "sim.minicluster.internal/exit-after"
	// AnnotationExitContainer is the container that gets the exit code; the others exit with 0.
	AnnotationExitContainer = "sim.minicluster.internal/exit-container"
	// AnnotationTerminateAfter is how long a deleted pod terminates, such as "5s". It then exits with 143. With
	// Forever, it does so when ReleasePods is called.
	AnnotationTerminateAfter = "sim.minicluster.internal/terminate-after"
)

// Annotations with the resource usage of a simulated pod for a metrics-server. test/kube/kwok/usage.yaml defines
// them.
const (
	// AnnotationCPU is the CPU usage of each container of the pod, such as "90m"; 1m if missing.
	AnnotationCPU = "sim.minicluster.internal/cpu"
	// AnnotationMemory is the memory usage, such as "64Mi"; 1Mi if missing.
	AnnotationMemory = "sim.minicluster.internal/memory"
	// AnnotationUsageContainer is the only container with this usage; the others have the default.
	AnnotationUsageContainer = "sim.minicluster.internal/usage-container"
)

// Forever is a time that no test reaches.
const Forever = "24h"

// ReleasePods ends the terminating pods of a selector, whatever their AnnotationTerminateAfter.
func (c *Cluster) ReleasePods(ctx context.Context, namespace, selector string) error {
	pods, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp == nil {
			continue
		}
		err := c.AnnotatePod(ctx, namespace, pod.Name, map[string]string{AnnotationTerminateAfter: "0s"})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// SucceedPod ends a running pod: all containers exit with 0.
func (c *Cluster) SucceedPod(ctx context.Context, namespace, name string) error {
	return c.ExitPod(ctx, namespace, name, 0)
}

// ExitPod ends a running pod with an exit code.
func (c *Cluster) ExitPod(ctx context.Context, namespace, name string, code int) error {
	return c.AnnotatePod(ctx, namespace, name, map[string]string{AnnotationExitCode: strconv.Itoa(code)})
}

// SetPodReady sets whether a running pod is ready.
func (c *Cluster) SetPodReady(ctx context.Context, namespace, name string, ready bool) error {
	return c.AnnotatePod(ctx, namespace, name, map[string]string{AnnotationUnready: strconv.FormatBool(!ready)})
}

// AnnotatePod sets annotations of a pod.
func (c *Cluster) AnnotatePod(ctx context.Context, namespace, name string, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return fmt.Errorf("encoding annotations: %w", err)
	}
	if _, err := c.client.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("annotating pod %s/%s: %w", namespace, name, err)
	}
	return nil
}
