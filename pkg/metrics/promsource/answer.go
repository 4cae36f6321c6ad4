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
)

// answer is what a query gave: a number for each of some series.
type answer struct {
	series []series
	// of are the series of an object, by its namespace and name; those of external
	// metrics have no name.
	of map[types.NamespacedName][]int
	// nameless is a series that lacks the label of a namespace or a name, if there is one.
	nameless *series
	// lacks is that label.
	lacks string
}

// series is one of them.
type series struct {
	labels labels.Set
	value  float64
	at     time.Time
}

// newAnswer sorts a vector by the objects that it describes.
func newAnswer(d *definition, vector model.Vector) (*answer, error) {
	a := &answer{series: make([]series, 0, len(vector)), of: make(map[types.NamespacedName][]int, len(vector))}
	now := time.Now()
	for _, sample := range vector {
		if sample == nil {
			return nil, errors.New("an empty sample in the answer of Prometheus")
		}
		if sample.Histogram != nil {
			return nil, fmt.Errorf("%w: %s is a histogram and no number", errRefused, sample.Metric)
		}
		s := series{labels: make(labels.Set, len(sample.Metric)), value: float64(sample.Value), at: sample.Timestamp.Time()}
		if s.at.After(now) {
			s.at = now // its clock is not ours
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

// names are those of all objects of a namespace, in order.
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

// selected are the series of an object that a selector selects.
func (a *answer) selected(object types.NamespacedName, selector labels.Selector) []*series {
	var found []*series
	for _, i := range a.of[object] {
		if s := &a.series[i]; selector == nil || selector.Matches(s.labels) {
			found = append(found, s)
		}
	}
	return found
}

// missing says why an object has no number.
func (a *answer) missing(selector labels.Selector) string {
	var hint string
	if a.nameless != nil {
		hint = fmt.Sprintf("; there is %s, which lacks the label %s", a.nameless, a.lacks)
	}
	switch {
	case len(a.series) == 0 && a.nameless == nil:
		return "its answer is empty"
	case selector != nil && !selector.Empty():
		return fmt.Sprintf("none of its %d series is that and has %s%s", len(a.series), selector, hint)
	default:
		return fmt.Sprintf("none of its %d series is that%s", len(a.series), hint)
	}
}

// String writes a series as PromQL does.
func (s *series) String() string {
	pairs := make([]string, 0, len(s.labels))
	for name, value := range s.labels {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ", ") + "}"
}

// largest is the largest number that is passed on. Autoscalers count in thousandths, in 64 bits, and
// add up: what is above would be nothing to them.
const largest = 1e15

// quantity is the number, to a thousandth, as autoscalers count.
func (s *series) quantity() (resource.Quantity, error) {
	const whole = 1 << 53 // from there on, a float64 has no fractions
	switch v := s.value; {
	case math.IsNaN(v):
		return resource.Quantity{}, fmt.Errorf("the value of %s is not a number (NaN)", s)
	case math.IsInf(v, 0), math.Abs(v) > largest:
		return resource.Quantity{}, fmt.Errorf("the value of %s is out of range: %g, and %g is the largest; take a larger unit", s, v, float64(largest))
	case math.Abs(v) >= whole/1000:
		return *resource.NewQuantity(int64(math.Round(v)), resource.DecimalSI), nil
	default:
		return *resource.NewMilliQuantity(int64(math.Round(v*1000)), resource.DecimalSI), nil
	}
}
