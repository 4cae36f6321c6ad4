package metrics

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Info identifies a custom metric by its name and the resource of the objects that it describes.
// The resource is namespaced.
type Info struct {
	Resource schema.GroupResource
	Metric   string
}

// Query selects values of a custom metric: that of one object, or those of all objects that match a selector.
type Query struct {
	Info
	// Namespace of the objects.
	Namespace string
	// Name of the object; "" selects all objects that match Selector.
	Name string
	// Selector matches the labels of objects if Name is "".
	Selector labels.Selector
	// MetricSelector matches the labels of the metric (Value.Labels).
	MetricSelector labels.Selector
}

// ExternalQuery selects values of an external metric.
type ExternalQuery struct {
	// Namespace of the autoscaler that sends the query.
	Namespace string
	Metric    string
	// Selector matches the labels of the metric (Value.Labels).
	Selector labels.Selector
}

// MaxValue is the largest absolute value of a metric that sources return. Autoscalers count in
// thousandths in 64 bits and add up values, so a larger value would overflow.
const MaxValue = 1e15

// Value is the value of a metric at one time.
type Value struct {
	// Kind, Namespace and Name identify the object that a custom metric describes. They are empty
	// for an external metric.
	Kind      schema.GroupVersionKind
	Namespace string
	Name      string
	// Labels of the metric, which metric selectors match.
	Labels labels.Set
	// Quantity is the value, in the metric's unit.
	Quantity resource.Quantity
	// At is the time at which the value was measured. It is always set.
	At time.Time
	// Window is the time over which a rate was measured; 0 for an instantaneous value.
	Window time.Duration
}

// Source provides metrics. Its methods are called concurrently for every request, so they return
// values that have been collected before, or return soon.
//
// Errors that are API statuses (k8s.io/apimachinery/pkg/api/errors) are returned to the client
// unchanged. Others become status 503 with their text, which autoscalers show in their conditions:
// it should name the object and the problem. A source returns an error instead of a stale value. If
// it returns neither values nor an error, no object matches the query.
//
// A source may also be a Runner.
type Source interface {
	// Custom returns the custom metrics that are available now. Several sources may return the
	// same one and provide it for different objects. It returns the same slice until the list changes,
	// and the caller must not modify it.
	Custom() []Info
	// CustomValues returns values of a custom metric. For a query by selector it omits objects whose
	// value is unknown, and returns an error only if that applies to all of them.
	CustomValues(ctx context.Context, q Query) ([]Value, error)
	// External returns the names of the external metrics that are available now, as Custom does.
	External() []string
	// ExternalValues returns values of an external metric. Because autoscalers add them up, it
	// returns an error if any of them is unknown.
	ExternalValues(ctx context.Context, q ExternalQuery) ([]Value, error)
}

// Unlisted is a source of metrics whose names are not known in advance, because applications choose them. Custom does
// not list them, and a metric that any source lists takes precedence.
type Unlisted interface {
	// UnlistedValues returns values of such a metric, as CustomValues does.
	UnlistedValues(ctx context.Context, q Query) ([]Value, error)
}

// Runner is a source that works in the background.
type Runner interface {
	// Run runs until the context ends, which is not an error.
	Run(ctx context.Context) error
	// Synced reports whether the caches of the source are synced. The process is ready when all
	// sources are.
	Synced() bool
}
