package promsource

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/metrics"
)

// answer is the result of a query: a value for each series.
type answer struct {
	// at is the time at which the result was received.
	at     time.Time
	series []series
	// of maps the namespace and the name of an object to its series. External metrics have no name.
	of map[types.NamespacedName][]int
	// nameless is an example of a series without the label of the namespace or the name, if any.
	nameless *series
	// lacks is the missing label.
	lacks string
}

// series is a series with its value.
type series struct {
	labels labels.Set
	value  float64
	at     time.Time
}

// newAnswer groups the samples of a vector by the objects that they describe.
func newAnswer(d *definition, vector model.Vector) (*answer, error) {
	now := time.Now()
	a := &answer{at: now, series: make([]series, 0, len(vector)), of: make(map[types.NamespacedName][]int, len(vector))}
	for _, sample := range vector {
		if sample == nil {
			return nil, errors.New("the response of Prometheus contains an empty sample")
		}
		if sample.Histogram != nil {
			return nil, fmt.Errorf("%w: %s is a histogram instead of a number", errInvalidQuery, sample.Metric)
		}
		s := series{labels: make(labels.Set, len(sample.Metric)), value: float64(sample.Value), at: sample.Timestamp.Time()}
		if s.at.After(now) {
			s.at = now // the clocks differ
		}
		for name, value := range sample.Metric {
			if name != model.MetricNameLabel {
				s.labels[string(name)] = string(value)
			}
		}
		object := types.NamespacedName{Namespace: s.labels[d.NamespaceLabel], Name: s.labels[d.NameLabel]}
		switch {
		case d.NamespaceLabel != "" && object.Namespace == "":
			a.nameless, a.lacks = &s, d.NamespaceLabel
			continue
		case d.NameLabel != "" && object.Name == "":
			a.nameless, a.lacks = &s, d.NameLabel
			continue
		}
		a.of[object] = append(a.of[object], len(a.series))
		a.series = append(a.series, s)
	}
	return a, nil
}

// names returns the names of all objects in a namespace, sorted.
func (a *answer) names(namespace string) []string {
	var names []string
	for object := range a.of {
		if object.Namespace == namespace {
			names = append(names, object.Name)
		}
	}
	slices.Sort(names)
	return names
}

// selected returns the series of an object that match a selector.
func (a *answer) selected(object types.NamespacedName, selector labels.Selector) []*series {
	var found []*series
	for _, i := range a.of[object] {
		if s := &a.series[i]; selector == nil || selector.Matches(s.labels) {
			found = append(found, s)
		}
	}
	return found
}

// whenEmpty returns the value of an object without a series; nil if the definition has none.
func (a *answer) whenEmpty(d *definition) *series {
	if d.Empty == nil {
		return nil
	}
	return &series{value: *d.Empty, at: a.at}
}

// missing explains why an object has no value.
func (a *answer) missing(selector labels.Selector) string {
	var hint string
	if a.nameless != nil {
		hint = fmt.Sprintf("; series %s has no label %s", a.nameless, a.lacks)
	}
	switch {
	case len(a.series) == 0 && a.nameless == nil:
		return "the result is empty"
	case selector != nil && !selector.Empty():
		return fmt.Sprintf("none of the %d series in the result belongs to it and matches %s%s", len(a.series), selector, hint)
	default:
		return fmt.Sprintf("none of the %d series in the result belongs to it%s", len(a.series), hint)
	}
}

// String returns the labels of a series in PromQL syntax.
func (s *series) String() string {
	pairs := make([]string, 0, len(s.labels))
	for name, value := range s.labels {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ", ") + "}"
}

// quantity returns the value with the precision of autoscalers, a thousandth.
func (s *series) quantity() (resource.Quantity, error) {
	const whole = 1 << 53 // from there on, a float64 has no fractions
	switch v := s.value; {
	case math.IsNaN(v):
		return resource.Quantity{}, fmt.Errorf("the value of %s is not a number (NaN)", s)
	case math.IsInf(v, 0), math.Abs(v) > metrics.MaxValue:
		return resource.Quantity{}, fmt.Errorf("the value of %s is out of range: %g; the maximum is %g, use a larger unit", s, v, float64(metrics.MaxValue))
	case math.Abs(v) >= whole/1000:
		return *resource.NewQuantity(int64(math.Round(v)), resource.DecimalSI), nil
	default:
		return *resource.NewMilliQuantity(int64(math.Round(v*1000)), resource.DecimalSI), nil
	}
}
