package serving

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-base/metrics"
)

// observer records which APIs are registered.
type observer struct {
	apis *metrics.GaugeVec
}

// newObserver registers the metric, unless registry is nil.
func newObserver(registry metrics.KubeRegistry) *observer {
	o := &observer{
		apis: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "minicluster_metrics", Name: "api_registered",
			Help:           "Whether the APIService of an API refers to this server (1) or to another one (0).",
			StabilityLevel: metrics.ALPHA,
		}, []string{"api"}),
	}
	if registry != nil {
		registry.MustRegister(o.apis)
	}
	return o
}

func (o *observer) registered(gv schema.GroupVersion, ok bool) {
	value := 0.0
	if ok {
		value = 1
	}
	o.apis.WithLabelValues(gv.String()).Set(value)
}
