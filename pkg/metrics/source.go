package metrics

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Info is a custom metric: the resource of the objects that it describes, which lie
// in namespaces, and its name.
type Info struct {
	Resource schema.GroupResource
	Metric   string
}

// Query asks for a custom metric of one object, or of all that a selector selects.
type Query struct {
	Info
	// Namespace is that of the objects.
	Namespace string
	// Name is the name of the one object; "" asks for all that Selector selects.
	Name string
	// Selector selects objects by their labels, where Name is "".
	Selector labels.Selector
	// MetricSelector selects values by the labels of the metric (Value.Labels).
	MetricSelector labels.Selector
}

// ExternalQuery asks for an external metric.
type ExternalQuery struct {
	// Namespace is that of the autoscaler that asks.
	Namespace string
	Metric    string
	// Selector selects values by the labels of the metric (Value.Labels).
	Selector labels.Selector
}

// Value is what a metric was at one moment.
type Value struct {
	// Kind, Namespace and Name are those of the object that a custom metric
	// describes; an external metric describes none.
	Kind      schema.GroupVersionKind
	Namespace string
	Name      string
	// Labels are those of the metric, which selectors of metrics are matched with.
	Labels labels.Set
	// Quantity is the value, in the metric's unit.
	Quantity resource.Quantity
	// At is when it was so. A source never gives out a value without it.
	At time.Time
	// Window is the time that a rate was taken over; 0 for a value of the moment.
	Window time.Duration
}

// Source knows metrics. Its methods are called concurrently, for every request: they
// answer from what was collected before, or soon.
//
// Errors that are API statuses (k8s.io/apimachinery/pkg/api/errors) are answered as
// they are, others as 503 with their text, which autoscalers show in their
// conditions: it should say which object is meant and what is wrong with it. What is
// not known, too old or can't be reached is an error and never an old value. No value
// and no error means that there is no such object, or none was selected.
//
// A source may also be a Runner.
type Source interface {
	// Custom lists the custom metrics that there are now. Two sources may list the
	// same one, and know it of different objects.
	Custom() []Info
	// CustomValues returns values of one of them. For a query by selector it leaves
	// out objects whose value is not known, and is an error only if that are all.
	CustomValues(ctx context.Context, q Query) ([]Value, error)
	// External lists the names of the external metrics that there are now.
	External() []string
	// ExternalValues returns values of one of them. Autoscalers add them up, so it
	// is an error if one of them is not known.
	ExternalValues(ctx context.Context, q ExternalQuery) ([]Value, error)
}

// Runner is a source that has something to do in the background.
type Runner interface {
	// Run works until the context ends, which is no error.
	Run(ctx context.Context) error
	// Synced tells whether the source can answer: its caches are filled. The
	// process is ready when all sources are.
	Synced() bool
}
