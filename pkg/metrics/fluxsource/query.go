package fluxsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics"
)

// TutorialService is the Service that the custom-metrics tutorial of 2023 names. It
// stands for the only MiniCluster of a namespace, whether it exists or not.
const TutorialService = "custom-metrics-apiserver"

// CustomValues returns a metric of MiniClusters, or of Services that stand for one.
func (s *Source) CustomValues(_ context.Context, q metrics.Query) ([]metrics.Value, error) {
	switch {
	case q.Resource == services && q.Name != "":
		return s.ofService(q)
	case q.Resource == services:
		return s.ofServices(q)
	case q.Name != "":
		mc, err := s.clusters.MiniClusters(q.Namespace).Get(q.Name)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the MiniCluster: %w", err)
		}
		value, err := s.value(mc, q.Metric)
		return one(value, err, q.MetricSelector)
	}
	clusters, err := s.clusters.MiniClusters(q.Namespace).List(q.Selector)
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	return s.values(clusters, q.Metric, q.MetricSelector)
}

// ExternalValues returns a metric of the MiniClusters of a namespace. Those that have ended want
// nothing and have nothing.
func (s *Source) ExternalValues(_ context.Context, q metrics.ExternalQuery) ([]metrics.Value, error) {
	clusters, err := s.clusters.MiniClusters(q.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	var values []metrics.Value
	for _, mc := range ordered(clusters) {
		if mc.Status.Finished() || !q.Selector.Matches(labels.Merge(mc.Labels, labels.Set{LabelMiniCluster: mc.Name})) {
			continue
		}
		value, err := s.value(mc, q.Metric)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func one(value metrics.Value, err error, selector labels.Selector) ([]metrics.Value, error) {
	if err != nil {
		return nil, err
	}
	if selector != nil && !selector.Matches(value.Labels) {
		return nil, nil
	}
	return []metrics.Value{value}, nil
}

// values leaves out what is not known, unless that is all.
func (s *Source) values(clusters []*v1alpha2.MiniCluster, metric string, selector labels.Selector) ([]metrics.Value, error) {
	var values []metrics.Value
	var errs []error
	for _, mc := range ordered(clusters) {
		value, err := s.value(mc, metric)
		switch {
		case err != nil:
			errs = append(errs, err)
		case selector == nil || selector.Matches(value.Labels):
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return nil, errors.Join(errs...)
	}
	return values, nil
}

// ofService is the metric of the one MiniCluster that a Service stands for.
func (s *Source) ofService(q metrics.Query) ([]metrics.Value, error) {
	clusters := s.behind(q.Namespace, q.Name)
	if len(clusters) == 0 && q.Name == TutorialService {
		var err error
		if clusters, err = s.clusters.MiniClusters(q.Namespace).List(labels.Everything()); err != nil {
			return nil, fmt.Errorf("listing MiniClusters: %w", err)
		}
	}
	switch len(clusters) {
	case 0:
		return nil, nil
	case 1:
		value, err := s.value(clusters[0], q.Metric)
		value.Kind, value.Name = serviceKind, q.Name
		return one(value, err, q.MetricSelector)
	}
	names := make([]string, 0, len(clusters))
	for _, mc := range ordered(clusters) {
		names = append(names, mc.Name)
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("Service %s/%s stands for several MiniClusters (%s): ask for the metric of one of them (kind: MiniCluster)",
		q.Namespace, q.Name, strings.Join(names, ", ")))
}

// ofServices are the metrics of all headless Services that stand for one MiniCluster.
func (s *Source) ofServices(q metrics.Query) ([]metrics.Value, error) {
	// The labels of the Services that the controller makes.
	if !q.Selector.Matches(labels.Set{v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}) {
		return nil, nil
	}
	clusters, err := s.clusters.MiniClusters(q.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	var values []metrics.Value
	var errs []error
	for _, mc := range ordered(clusters) {
		pod, err := leadPod(s.leads.GetIndexer(), mc)
		if err != nil {
			continue
		}
		service := pod.Labels[v1alpha2.LabelHeadlessService]
		if service == "" || len(s.behind(q.Namespace, service)) != 1 {
			continue
		}
		value, err := s.value(mc, q.Metric)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		value.Kind, value.Name = serviceKind, service
		if q.MetricSelector == nil || q.MetricSelector.Matches(value.Labels) {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return nil, errors.Join(errs...)
	}
	return values, nil
}

// behind are the MiniClusters whose lead pod stands behind a headless Service.
func (s *Source) behind(namespace, service string) []*v1alpha2.MiniCluster {
	pods, err := s.leads.GetIndexer().ByIndex(byService, namespace+"/"+service)
	if err != nil {
		return nil // there is such an index
	}
	seen := map[string]bool{}
	var clusters []*v1alpha2.MiniCluster
	for _, obj := range pods {
		pod, ok := obj.(*corev1.Pod)
		if !ok || seen[pod.Labels[v1alpha2.LabelHPASelector]] {
			continue
		}
		seen[pod.Labels[v1alpha2.LabelHPASelector]] = true
		if mc, err := s.clusters.MiniClusters(namespace).Get(pod.Labels[v1alpha2.LabelHPASelector]); err == nil {
			clusters = append(clusters, mc)
		}
	}
	return clusters
}

func ordered(clusters []*v1alpha2.MiniCluster) []*v1alpha2.MiniCluster {
	clusters = slices.Clone(clusters)
	slices.SortFunc(clusters, func(a, b *v1alpha2.MiniCluster) int { return strings.Compare(a.Name, b.Name) })
	return clusters
}
