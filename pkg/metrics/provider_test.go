package metrics

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"
)

var services = schema.GroupResource{Resource: "services"}

// fixed is a source of one metric, of one Service.
type fixed struct {
	metric string
	object string
	value  int64
	err    error
}

func (f fixed) Custom() []Info     { return []Info{{Resource: services, Metric: f.metric}} }
func (f fixed) External() []string { return []string{f.metric} }

func (f fixed) CustomValues(_ context.Context, q Query) ([]Value, error) {
	if f.err != nil || q.Name != "" && q.Name != f.object {
		return nil, f.err
	}
	return f.values(), nil
}

func (f fixed) ExternalValues(context.Context, ExternalQuery) ([]Value, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.values(), nil
}

func (f fixed) values() []Value {
	return []Value{{
		Kind: schema.GroupVersionKind{Version: "v1", Kind: "Service"}, Namespace: "ns", Name: f.object,
		Labels: labels.Set{"of": f.object}, Quantity: *resource.NewQuantity(f.value, resource.DecimalSI),
		At: time.Unix(1_700_000_000, 0), Window: time.Minute,
	}}
}

// TestFirstSourceAnswers checks that the value of an object comes from the first source that has the metric.
func TestFirstSourceAnswers(t *testing.T) {
	p := NewProvider(fixed{metric: "b", object: "one", value: 1}, fixed{metric: "b", object: "one", value: 7}, fixed{metric: "b", object: "two", value: 2})
	list, err := p.GetMetricBySelector(t.Context(), "ns", labels.Everything(), provider.CustomMetricInfo{GroupResource: services, Namespaced: true, Metric: "b"}, nil)
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	assert.EqualValues(t, 1, list.Items[0].Value.Value())
	assert.EqualValues(t, 2, list.Items[1].Value.Value())
}

func TestSourcesAreOneAPI(t *testing.T) {
	p := NewProvider(fixed{metric: "b", object: "two", value: 2}, fixed{metric: "b", object: "one", value: 1}, fixed{metric: "a", object: "one", err: errors.New("the agent of ns/one does not answer")})
	info := func(metric string) provider.CustomMetricInfo {
		return provider.CustomMetricInfo{GroupResource: services, Namespaced: true, Metric: metric}
	}
	assert.Equal(t, []provider.CustomMetricInfo{info("a"), info("b")}, p.ListAllMetrics(), "sorted, without duplicates")
	assert.Equal(t, []provider.ExternalMetricInfo{{Metric: "a"}, {Metric: "b"}}, p.ListAllExternalMetrics())

	get := func(metric, name string) (any, error) {
		v, err := p.GetMetricByName(t.Context(), types.NamespacedName{Namespace: "ns", Name: name}, info(metric), labels.Everything())
		if err != nil {
			return nil, err
		}
		return v.Value.Value(), nil
	}
	v, err := get("b", "two")
	require.NoError(t, err)
	assert.EqualValues(t, 2, v, "the source that knows the object answers")

	_, err = get("b", "three")
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	_, err = get("c", "one")
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	_, err = get("a", "one")
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	assert.ErrorContains(t, err, "the agent of ns/one does not answer")

	list, err := p.GetMetricBySelector(t.Context(), "ns", labels.Everything(), info("b"), labels.SelectorFromSet(labels.Set{"x": "y"}))
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	item := list.Items[0]
	assert.Equal(t, "v1/Service ns/one", item.DescribedObject.APIVersion+"/"+item.DescribedObject.Kind+" "+item.DescribedObject.Namespace+"/"+item.DescribedObject.Name)
	assert.EqualValues(t, 1_700_000_000, item.Timestamp.Unix())
	assert.EqualValues(t, 60, *item.WindowSeconds)
	assert.Equal(t, map[string]string{"x": "y"}, item.Metric.Selector.MatchLabels)

	external, err := p.GetExternalMetric(t.Context(), "ns", labels.Everything(), provider.ExternalMetricInfo{Metric: "b"})
	require.NoError(t, err)
	require.Len(t, external.Items, 2)
	assert.Equal(t, map[string]string{"of": "two"}, external.Items[0].MetricLabels)
	_, err = p.GetExternalMetric(t.Context(), "ns", labels.Everything(), provider.ExternalMetricInfo{Metric: "a"})
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	_, err = p.GetExternalMetric(t.Context(), "ns", labels.Everything(), provider.ExternalMetricInfo{Metric: "c"})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestStatusOfASourceIsTheAnswer(t *testing.T) {
	p := NewProvider(fixed{metric: "a", err: apierrors.NewBadRequest("which one?")})
	_, err := p.GetMetricByName(t.Context(), types.NamespacedName{Namespace: "ns", Name: "x"}, provider.CustomMetricInfo{GroupResource: services, Metric: "a"}, labels.Everything())
	assert.True(t, apierrors.IsBadRequest(err), "%v", err)
}
