package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sample is what there is at a moment.
type sample struct {
	second int
	// paying are the cores that the load is to have, in each half.
	paying int
	halves [halves]facts
}

// facts are about one half.
type facts struct {
	// size is what the application has been told to have: replicas, spec.size.
	size int
	// wanted is what its autoscaler last wanted, before it was bounded; 0 until it has looked.
	wanted int
	// pods of the application that have a node.
	pods int
	// paying are the cores of the paying pods that there are, waiting those of them that have no node.
	paying, waiting int
	// free cores: counted from pods, not asked of what is tested.
	free int
}

// fill is the part of the cores that is in use.
func (f facts) fill() float64 { return float64(cores-f.free) / cores }

// look counts what there is now.
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
			return s, fmt.Errorf("looking at the autoscaler: %w", err)
		}
		for _, hpa := range hpas.Items {
			f.wanted = int(hpa.Status.DesiredReplicas)
		}
	}
	deployments, err := w.Client().AppsV1().Deployments(half(value)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("looking at what is scaled: %w", err)
	}
	for _, d := range deployments.Items {
		if d.Name != others && d.Name != paying {
			s.halves[value].size = int(*d.Spec.Replicas)
		}
	}
	mcs, err := w.flux.FluxFrameworkV1alpha2().MiniClusters(half(average)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("looking at what is scaled: %w", err)
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
