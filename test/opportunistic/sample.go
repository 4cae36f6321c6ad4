package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sample is the state at one time.
type sample struct {
	second int
	// paying is the number of cores that the load requests in each half.
	paying int
	halves [halves]facts
}

// facts are the state of one half.
type facts struct {
	// size is the desired number of pods: replicas or spec.size.
	size int
	// wanted is the last size that the autoscaler computed, or 0.
	wanted int
	// pods is the number of scheduled pods of the application.
	pods int
	// paying is the number of cores of all paying pods, waiting that of the pending ones.
	paying, waiting int
	// free is the number of free cores, computed from pods independently of the programs under test.
	free int
}

// fill returns the fraction of cores in use.
func (f facts) fill() float64 { return float64(cores-f.free) / cores }

// look takes a sample.
func (w *world) look(ctx context.Context, payingPods int) (sample, error) {
	s := sample{paying: payingPods * payingCores}
	for i := range halves {
		f := &s.halves[i]
		pods, err := w.Client().CoreV1().Pods(half(i)).List(ctx, metav1.ListOptions{})
		if err != nil {
			return s, fmt.Errorf("counting pods: %w", err)
		}
		f.free = cores
		for k := range pods.Items {
			f.count(&pods.Items[k])
		}
		hpas, err := w.Client().AutoscalingV2().HorizontalPodAutoscalers(half(i)).List(ctx, metav1.ListOptions{})
		if err != nil {
			return s, fmt.Errorf("listing autoscalers: %w", err)
		}
		for _, hpa := range hpas.Items {
			f.wanted = int(hpa.Status.DesiredReplicas)
		}
	}
	deployments, err := w.Client().AppsV1().Deployments(half(value)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("listing the scaled objects: %w", err)
	}
	for _, d := range deployments.Items {
		if d.Name != others && d.Name != paying {
			s.halves[value].size = int(*d.Spec.Replicas)
		}
	}
	mcs, err := w.flux.FluxFrameworkV1alpha2().MiniClusters(half(average)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("listing the scaled objects: %w", err)
	}
	for i := range mcs.Items {
		s.halves[average].size = int(mcs.Items[i].RequestedSize())
	}
	return s, nil
}

func (f *facts) count(pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	holds := 0
	for _, c := range pod.Spec.Containers {
		holds += int(c.Resources.Requests.Cpu().Value())
	}
	pays := strings.HasPrefix(pod.Name, paying+"-")
	if pays {
		f.paying += holds
	}
	if pod.Spec.NodeName == "" {
		if pays {
			f.waiting += holds
		}
		return
	}
	f.free -= holds
	if !pays && !strings.HasPrefix(pod.Name, others+"-") {
		f.pods++
	}
}
