package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// disruptionBudget creates the disruption budget of a MiniCluster, if nodes are watched. An annotation of the Job
// records that, so that there is no request later.
func (c *Controller) disruptionBudget(ctx context.Context, s *syncState) error {
	if c.nodes == nil || s.job.Annotations[v1alpha2.AnnotationDisruptionBudget] != "" || resources.FinishedCondition(s.job) != nil {
		return nil
	}
	budget := resources.BuildDisruptionBudget(s.mc)
	client := c.kube.PolicyV1().PodDisruptionBudgets(s.mc.Namespace)
	_, err := client.Create(ctx, budget, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		existing, err := client.Get(ctx, budget.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("getting PodDisruptionBudget %q, which already exists: %w", budget.Name, err)
		}
		if !metav1.IsControlledBy(existing, s.mc) {
			return foreign("PodDisruptionBudget", existing)
		}
	} else if err != nil {
		return fmt.Errorf("creating PodDisruptionBudget %q: %w", budget.Name, err)
	}
	job, err := patch(ctx, c, s.key, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, s.job.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"uid": s.job.UID, "annotations": map[string]string{v1alpha2.AnnotationDisruptionBudget: budget.Name}},
	})
	if err == nil {
		s.job = job
	}
	return err
}
