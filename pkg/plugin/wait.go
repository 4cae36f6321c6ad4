package plugin

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// waitReady waits until a MiniCluster is ready or complete, and prints its progress. It returns an error if the
// MiniCluster fails or is invalid.
func (s *session) waitReady(ctx context.Context, created *v1alpha2.MiniCluster) error {
	progress := progressPrinter{s: s}
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		mc, err := s.miniCluster(ctx, created.Name)
		if err != nil {
			return false, err
		}
		if mc.UID != created.UID {
			return false, fmt.Errorf("MiniCluster %s was deleted", mc.Name)
		}
		if mc.Status.ObservedGeneration < mc.Generation {
			return false, nil
		}
		for _, c := range mc.Status.Conditions {
			failed := c.Type == v1alpha2.ConditionFailed && c.Status == metav1.ConditionTrue
			if failed || c.Type == v1alpha2.ConditionAccepted && c.Status == metav1.ConditionFalse {
				return false, errors.New(c.Message)
			}
		}
		if stopped(mc) && !mc.Spec.Suspend {
			return false, nil
		}
		for _, condition := range []string{v1alpha2.ConditionComplete, v1alpha2.ConditionReady} {
			if meta.IsStatusConditionTrue(mc.Status.Conditions, condition) {
				fmt.Fprintf(s.Out, "minicluster/%s: %s\n", mc.Name, condition)
				return true, nil
			}
		}
		progress.print(mc)
		return false, nil
	})
	return timeoutCause(ctx, err, created.Name)
}
