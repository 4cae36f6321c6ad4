package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Names of the paying Deployments in each half.
const (
	others = "others"
	paying = "paying"
)

// play starts a world, applies the load and returns the samples.
func play(ctx context.Context) (samples []sample, err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := w.stop(); err == nil {
			err = stopped
		}
	}()
	plan := steps()
	for i := range halves {
		if err := w.deploy(ctx, i, others, 6, otherCores/6); err != nil {
			return nil, err
		}
		if err := w.deploy(ctx, i, paying, plan[0].paying, payingCores); err != nil {
			return nil, err
		}
	}
	if err := w.metricsWork(ctx); err != nil {
		return nil, err
	}
	if err := w.autoscalerWorks(ctx); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		now, err := w.look(ctx, plan[0].paying)
		return err == nil && now.halves[value].free == fits(now.paying)+reserve && now.halves[average].free == fits(now.paying)+reserve, err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the initial load: %w", err)
	}
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	return w.record(ctx, plan)
}

// record applies the plan and takes a sample every second.
func (w *world) record(ctx context.Context, plan []step) ([]sample, error) {
	var samples []sample
	begun, next := time.Now(), 1
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		now := time.Since(begun)
		if now >= length {
			return samples, nil
		}
		if next < len(plan) && now >= plan[next].at {
			if err := w.load(ctx, plan[next].paying); err != nil {
				return samples, err
			}
			next++
		}
		s, err := w.look(ctx, plan[next-1].paying)
		if err != nil {
			return samples, err
		}
		s.second = int(now.Round(time.Second) / time.Second)
		samples = append(samples, s)
		select {
		case <-ctx.Done():
			return samples, ctx.Err()
		case <-ticker.C:
		}
	}
}

// load sets the number of paying pods in both halves at the same time.
func (w *world) load(ctx context.Context, pods int) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range halves {
		group.Go(func() error {
			patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, pods)
			if _, err := w.Client().AppsV1().Deployments(half(i)).Patch(ctx, paying, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				return fmt.Errorf("changing the load: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// deploy creates a Deployment of pods with some cores in a half.
func (w *world) deploy(ctx context.Context, i int, name string, pods, cores int) error {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	d.Spec.Replicas = new(int32(pods)) //nolint:gosec // small
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	d.Spec.Template.Labels = labels
	d.Spec.Template.Spec.NodeSelector = map[string]string{halfLabel: half(i)}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: quantity(cores)},
	}}}
	if _, err := w.Client().AppsV1().Deployments(half(i)).Create(ctx, d, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating Deployment %s: %w", name, err)
	}
	return nil
}
