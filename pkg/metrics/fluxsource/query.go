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

// tutorialService is the Service that the custom-metrics tutorial of 2023 uses. It represents the only
// MiniCluster of a namespace and does not have to exist.
const tutorialService = "custom-metrics-apiserver"

// CustomValues returns values of a metric of MiniClusters, or of the Services that represent one.
func (s *Source) CustomValues(_ context.Context, q metrics.Query) ([]metrics.Value, error) {
	switch {
	case q.Resource == services && q.Name != "":
		return s.serviceValues(q)
	case q.Resource == services:
		return s.allServiceValues(q)
	case q.Name != "":
		mc, err := s.clusters.MiniClusters(q.Namespace).Get(q.Name)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("getting the MiniCluster: %w", err)
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

// UnlistedValues returns values of a metric that the application of a MiniCluster has set.
func (s *Source) UnlistedValues(ctx context.Context, q metrics.Query) ([]metrics.Value, error) {
	if q.Resource != miniclusters && q.Resource != services || !s.collector.hasApplicationMetric(q.Namespace, q.Metric) {
		return nil, nil
	}
	return s.CustomValues(ctx, q)
}

// ExternalValues returns values of a metric of the MiniClusters in a namespace. It omits finished ones, which have no
// demand. Those that hibernate have a demand only.
func (s *Source) ExternalValues(_ context.Context, q metrics.ExternalQuery) ([]metrics.Value, error) {
	clusters, err := s.clusters.MiniClusters(q.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	var values []metrics.Value
	for _, mc := range sorted(clusters) {
		_, stopped := mc.StoppedDemand()
		if mc.Status.Finished() || stopped && q.Metric != MetricSizeDemanded || !q.Selector.Matches(labels.Merge(mc.Labels, labels.Set{labelMiniCluster: mc.Name})) {
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

// values omits unknown values, and returns an error if all are unknown.
func (s *Source) values(clusters []*v1alpha2.MiniCluster, metric string, selector labels.Selector) ([]metrics.Value, error) {
	var values []metrics.Value
	var errs []error
	for _, mc := range sorted(clusters) {
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

// serviceValues returns the value of the MiniCluster that a Service represents.
func (s *Source) serviceValues(q metrics.Query) ([]metrics.Value, error) {
	clusters := s.clustersOfService(q.Namespace, q.Name)
	if len(clusters) == 0 && q.Name == tutorialService {
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
	for _, mc := range sorted(clusters) {
		names = append(names, mc.Name)
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("Service %s/%s is shared by several MiniClusters (%s): query one of them (kind: MiniCluster)",
		q.Namespace, q.Name, strings.Join(names, ", ")))
}

// allServiceValues returns the values of all headless Services that represent exactly one MiniCluster.
func (s *Source) allServiceValues(q metrics.Query) ([]metrics.Value, error) {
	// These are the labels of the Services that the controller creates.
	if !q.Selector.Matches(labels.Set{v1alpha2.LabelController: v1alpha2.ManagedBy, v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}) {
		return nil, nil
	}
	clusters, err := s.clusters.MiniClusters(q.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing MiniClusters: %w", err)
	}
	var values []metrics.Value
	var errs []error
	for _, mc := range sorted(clusters) {
		pod, err := leadPod(s.leads.GetIndexer(), mc)
		if err != nil {
			continue
		}
		service := pod.Labels[v1alpha2.LabelHeadlessService]
		if service == "" || len(s.clustersOfService(q.Namespace, service)) != 1 {
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

// clustersOfService returns the MiniClusters whose lead pod belongs to a headless Service.
func (s *Source) clustersOfService(namespace, service string) []*v1alpha2.MiniCluster {
	pods, err := s.leads.GetIndexer().ByIndex(byService, namespace+"/"+service)
	if err != nil {
		return nil // the index exists
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

// sorted returns MiniClusters sorted by name.
func sorted(clusters []*v1alpha2.MiniCluster) []*v1alpha2.MiniCluster {
	clusters = slices.Clone(clusters)
	slices.SortFunc(clusters, func(a, b *v1alpha2.MiniCluster) int { return strings.Compare(a.Name, b.Name) })
	return clusters
}
