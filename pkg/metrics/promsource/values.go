package promsource

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/metrics"
)

// errAmbiguous is returned for an object with several series. It is a mistake in the query or in the
// autoscaler, and therefore an error even if other objects have a value.
var errAmbiguous = errors.New("an object must have one series")

// maxErrors limits the number of objects that a message names.
const maxErrors = 3

// CustomValues returns values of a metric of one object or of several.
func (s *Source) CustomValues(ctx context.Context, q metrics.Query) ([]metrics.Value, error) {
	for _, o := range []object{pods, services, miniClusters} {
		if o.resource() != q.Resource {
			continue
		}
		query := s.find(metricKey{o, q.Metric})
		if query == nil {
			return nil, nil
		}
		values, err := s.custom(ctx, query, q)
		return values, s.explain(query, err)
	}
	return nil, nil
}

// ExternalValues returns the values of an external metric.
func (s *Source) ExternalValues(ctx context.Context, q metrics.ExternalQuery) ([]metrics.Value, error) {
	query := s.find(metricKey{external, q.Metric})
	if query == nil {
		return nil, nil
	}
	values, err := s.external(ctx, query, q)
	return values, s.explain(query, err)
}

// explain adds the name of the query to an error.
func (s *Source) explain(q *query, err error) error {
	if err == nil || apierrors.ReasonForError(err) == "BadRequest" {
		return err
	}
	return fmt.Errorf("query %s of ConfigMap %s/%s: %w", q.name, s.options.Namespace, s.options.ConfigMap, err)
}

func (s *Source) custom(ctx context.Context, query *query, q metrics.Query) ([]metrics.Value, error) {
	answer, err := s.runner.get(ctx, query)
	if err != nil {
		return nil, err
	}
	names, err := s.names(&query.definition, answer, q)
	if err != nil {
		return nil, err
	}
	var values []metrics.Value
	var errs []error
	for _, name := range names {
		value, err := customValue(&query.definition, answer, types.NamespacedName{Namespace: q.Namespace, Name: name}, q.MetricSelector)
		switch {
		case errors.Is(err, errAmbiguous):
			return nil, err
		case err != nil:
			errs = append(errs, err)
		default:
			values = append(values, value)
		}
	}
	if len(values) > 0 {
		return values, nil
	}
	if more := len(errs) - maxErrors; more > 0 {
		errs = append(errs[:maxErrors], fmt.Errorf("and %d more errors", more))
	}
	return nil, errors.Join(errs...)
}

// names returns the names of the requested objects, sorted. An autoscaler computes an average, so the
// result must contain no other objects.
func (s *Source) names(d *definition, answer *answer, q metrics.Query) ([]string, error) {
	if q.Name != "" {
		if d.Object == miniClusters {
			if _, err := s.options.MiniClusters.MiniClusters(q.Namespace).Get(q.Name); apierrors.IsNotFound(err) {
				return nil, nil
			}
		}
		return []string{q.Name}, nil
	}
	switch d.Object {
	case pods:
		return slices.Sorted(slices.Values(s.options.Pods(q.Namespace, q.Selector))), nil
	case miniClusters:
		clusters, err := s.options.MiniClusters.MiniClusters(q.Namespace).List(q.Selector)
		if err != nil {
			return nil, fmt.Errorf("listing MiniClusters: %w", err)
		}
		names := make([]string, 0, len(clusters))
		for _, mc := range clusters {
			names = append(names, mc.Name)
		}
		slices.Sort(names)
		return names, nil
	default:
		if !q.Selector.Empty() {
			return nil, apierrors.NewBadRequest("Services can't be selected by labels: request one by name, or all of them")
		}
		return answer.names(q.Namespace), nil
	}
}

func customValue(d *definition, answer *answer, name types.NamespacedName, selector labels.Selector) (metrics.Value, error) {
	kind := d.Object.kind()
	found := answer.selected(name, selector)
	if s := answer.whenEmpty(d); s != nil && len(found) == 0 {
		found = append(found, s)
	}
	switch len(found) {
	case 0:
		return metrics.Value{}, fmt.Errorf("no value for %s %s: %s", kind.Kind, name, answer.missing(selector))
	case 1:
	default:
		return metrics.Value{}, fmt.Errorf("%w: %s %s has %d, such as %s and %s; aggregate them, as in sum by (%s, %s) (...)",
			errAmbiguous, kind.Kind, name, len(found), found[0], found[1], d.NamespaceLabel, d.NameLabel)
	}
	value, err := found[0].metric()
	if err != nil {
		return metrics.Value{}, fmt.Errorf("no value for %s %s: %w", kind.Kind, name, err)
	}
	value.Kind, value.Namespace, value.Name = kind, name.Namespace, name.Name
	return value, nil
}

func (s *Source) external(ctx context.Context, query *query, q metrics.ExternalQuery) ([]metrics.Value, error) {
	answer, err := s.runner.get(ctx, query)
	if err != nil {
		return nil, err
	}
	var whose types.NamespacedName
	if query.definition.NamespaceLabel != "" {
		whose.Namespace = q.Namespace
	}
	found := answer.selected(whose, q.Selector)
	if s := answer.whenEmpty(&query.definition); s != nil && len(found) == 0 {
		found = append(found, s)
	}
	if len(found) == 0 {
		if whose.Namespace != "" {
			return nil, fmt.Errorf("no value for namespace %s: %s", whose.Namespace, answer.missing(q.Selector))
		}
		return nil, fmt.Errorf("no value: %s", answer.missing(q.Selector))
	}
	values := make([]metrics.Value, 0, len(found))
	for _, series := range found {
		value, err := series.metric()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// metric converts a series to a value of the metrics API.
func (s *series) metric() (metrics.Value, error) {
	quantity, err := s.quantity()
	if err != nil {
		return metrics.Value{}, err
	}
	return metrics.Value{Labels: s.labels, Quantity: quantity, At: s.at}, nil
}
