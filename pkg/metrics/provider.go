package metrics

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/metrics/pkg/apis/custom_metrics"
	"k8s.io/metrics/pkg/apis/external_metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"
)

// Provider serves the metrics of several sources.
type Provider struct {
	sources  []Source
	custom   listCache[Info, provider.CustomMetricInfo]
	external listCache[string, provider.ExternalMetricInfo]
}

var _ provider.MetricsProvider = (*Provider)(nil)

// NewProvider returns a Provider of some sources. If several have the same metric of the same object,
// the first one takes precedence.
func NewProvider(sources ...Source) *Provider { return &Provider{sources: sources} }

// ListAllMetrics returns the custom metrics of all sources, sorted.
func (p *Provider) ListAllMetrics() []provider.CustomMetricInfo {
	return p.custom.get(p.sources, Source.Custom, func(all []Info) []provider.CustomMetricInfo {
		infos := make([]provider.CustomMetricInfo, 0, len(all))
		for _, i := range all {
			infos = append(infos, provider.CustomMetricInfo{GroupResource: i.Resource, Namespaced: true, Metric: i.Metric})
		}
		slices.SortFunc(infos, func(a, b provider.CustomMetricInfo) int { return strings.Compare(a.String(), b.String()) })
		return slices.Compact(infos)
	})
}

// ListAllExternalMetrics returns the external metrics of all sources, sorted.
func (p *Provider) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return p.external.get(p.sources, Source.External, func(all []string) []provider.ExternalMetricInfo {
		infos := make([]provider.ExternalMetricInfo, 0, len(all))
		for _, name := range all {
			infos = append(infos, provider.ExternalMetricInfo{Metric: name})
		}
		slices.SortFunc(infos, func(a, b provider.ExternalMetricInfo) int { return strings.Compare(a.Metric, b.Metric) })
		return slices.Compact(infos)
	})
}

// GetMetricByName returns the value of a metric of one object.
func (p *Provider) GetMetricByName(ctx context.Context, name types.NamespacedName, info provider.CustomMetricInfo, metricSelector labels.Selector) (*custom_metrics.MetricValue, error) {
	values, err := p.customValues(ctx, Query{
		Info: Info{Resource: info.GroupResource, Metric: info.Metric}, Namespace: name.Namespace, Name: name.Name,
		Selector: labels.Everything(), MetricSelector: metricSelector,
	})
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, provider.NewMetricNotFoundForError(info.GroupResource, info.Metric, name.Name)
	}
	return new(customValue(info.Metric, metricSelector, values[0])), nil
}

// GetMetricBySelector returns the values of a metric of all selected objects, sorted by name because the caches of the
// sources are unordered.
func (p *Provider) GetMetricBySelector(ctx context.Context, namespace string, selector labels.Selector, info provider.CustomMetricInfo, metricSelector labels.Selector) (*custom_metrics.MetricValueList, error) {
	values, err := p.customValues(ctx, Query{
		Info: Info{Resource: info.GroupResource, Metric: info.Metric}, Namespace: namespace,
		Selector: selector, MetricSelector: metricSelector,
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(values, func(a, b Value) int { return strings.Compare(a.Name, b.Name) })
	list := &custom_metrics.MetricValueList{Items: make([]custom_metrics.MetricValue, 0, len(values))}
	for _, v := range values {
		list.Items = append(list.Items, customValue(info.Metric, metricSelector, v))
	}
	return list, nil
}

// customValues queries all sources that have the metric.
func (p *Provider) customValues(ctx context.Context, q Query) ([]Value, error) {
	var values []Value
	var errs []error
	known := false
	for _, s := range p.sources {
		if !slices.Contains(s.Custom(), q.Info) {
			continue
		}
		known = true
		more, err := s.CustomValues(ctx, q)
		if err != nil {
			errs = append(errs, err)
		}
		before := values
		values = append(values, slices.DeleteFunc(more, func(v Value) bool {
			return slices.ContainsFunc(before, func(b Value) bool { return b.Namespace == v.Namespace && b.Name == v.Name })
		})...)
	}
	if !known {
		return p.unlistedValues(ctx, q)
	}
	if len(values) == 0 {
		return nil, status(errs)
	}
	return values, nil
}

// unlistedValues returns the values of a metric that no source lists.
func (p *Provider) unlistedValues(ctx context.Context, q Query) ([]Value, error) {
	for _, s := range p.sources {
		u, ok := s.(Unlisted)
		if !ok {
			continue
		}
		values, err := u.UnlistedValues(ctx, q)
		if err != nil {
			return nil, status([]error{err})
		}
		if len(values) > 0 {
			return values, nil
		}
	}
	return nil, provider.NewMetricNotFoundError(q.Resource, q.Metric)
}

// GetExternalMetric returns the values of an external metric.
func (p *Provider) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	list := &external_metrics.ExternalMetricValueList{Items: []external_metrics.ExternalMetricValue{}}
	known := false
	for _, s := range p.sources {
		if !slices.Contains(s.External(), info.Metric) {
			continue
		}
		known = true
		values, err := s.ExternalValues(ctx, ExternalQuery{Namespace: namespace, Metric: info.Metric, Selector: selector})
		if err != nil {
			return nil, status([]error{err})
		}
		for _, v := range values {
			list.Items = append(list.Items, external_metrics.ExternalMetricValue{
				MetricName: info.Metric, MetricLabels: v.Labels, Timestamp: metav1.NewTime(v.At),
				WindowSeconds: v.windowSeconds(), Value: v.Quantity,
			})
		}
	}
	if !known {
		return nil, apierrors.NewNotFound(external_metrics.Resource("externalmetrics"), info.Metric)
	}
	return list, nil
}

// listCache caches a list that is built from a list of each source, as long as these are the same slices.
type listCache[S, T any] struct {
	mu   sync.Mutex
	from [][]S
	list []T
}

func (c *listCache[S, T]) get(sources []Source, listOf func(Source) []S, build func([]S) []T) []T {
	from := make([][]S, 0, len(sources))
	for _, s := range sources {
		from = append(from, listOf(s))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	same := func(a, b []S) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
	if c.list == nil || !slices.EqualFunc(c.from, from, same) {
		c.from, c.list = from, build(slices.Concat(from...))
	}
	return c.list
}

func customValue(metric string, selector labels.Selector, v Value) custom_metrics.MetricValue {
	out := custom_metrics.MetricValue{
		DescribedObject: custom_metrics.ObjectReference{
			APIVersion: v.Kind.GroupVersion().String(), Kind: v.Kind.Kind, Namespace: v.Namespace, Name: v.Name,
		},
		Metric:        custom_metrics.MetricIdentifier{Name: metric},
		Timestamp:     metav1.NewTime(v.At),
		WindowSeconds: v.windowSeconds(),
		Value:         v.Quantity,
	}
	if selector != nil && !selector.Empty() {
		// The selector is a part of the metric's identifier.
		if parsed, err := metav1.ParseToLabelSelector(selector.String()); err == nil {
			out.Metric.Selector = parsed
		}
	}
	return out
}

func (v Value) windowSeconds() *int64 { return new(int64(v.Window / time.Second)) }

// status combines the errors of sources into one API status, or returns nil if there are none.
func status(errs []error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	if api := apierrors.APIStatus(nil); len(errs) == 1 && errors.As(err, &api) {
		return errs[0]
	}
	return apierrors.NewServiceUnavailable(err.Error())
}
