package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestBuildAutoscaler(t *testing.T) {
	for name, test := range map[string]struct {
		autoscaling      v1alpha2.Autoscaling
		minSize, maximum int32
		minor            int
		zero             bool
		// bounds, metric, and the window of scale-down in seconds.
		minReplicas, maxReplicas int32
		metric                   string
		window                   int32
		tolerance                bool
	}{
		"defaults":                   {maximum: 8, minor: 35, minReplicas: 1, maxReplicas: 8, metric: "size_recommended", tolerance: true},
		"an older API server":        {maximum: 8, minor: 34, minReplicas: 1, maxReplicas: 8, metric: "size_recommended"},
		"bounds":                     {autoscaling: v1alpha2.Autoscaling{MinSize: 2, MaxSize: 5}, maximum: 8, minReplicas: 2, maxReplicas: 5, metric: "size_recommended"},
		"bounds of the cluster":      {autoscaling: v1alpha2.Autoscaling{MinSize: 1, MaxSize: 50}, minSize: 3, maximum: 8, minReplicas: 3, maxReplicas: 8, metric: "size_recommended"},
		"minimum above maximum":      {autoscaling: v1alpha2.Autoscaling{MinSize: 20}, maximum: 8, minReplicas: 8, maxReplicas: 8, metric: "size_recommended"},
		"maximum below the minimum":  {autoscaling: v1alpha2.Autoscaling{MaxSize: 2}, minSize: 4, maximum: 8, minReplicas: 4, maxReplicas: 4, metric: "size_recommended"},
		"to zero":                    {zero: true, maximum: 8, minor: 37, minReplicas: 0, maxReplicas: 8, metric: "size_recommended", tolerance: true},
		"to zero, with a minimum":    {zero: true, autoscaling: v1alpha2.Autoscaling{MinSize: 2}, maximum: 8, minor: 37, minReplicas: 2, maxReplicas: 8, metric: "size_recommended", tolerance: true},
		"to zero on an older server": {zero: true, maximum: 8, minor: 36, minReplicas: 1, maxReplicas: 8, metric: "size_recommended", tolerance: true},
		"demand": {
			autoscaling: v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingDemand, IdleSeconds: new(int32(60))},
			maximum:     8, minReplicas: 1, maxReplicas: 8, metric: "size_demanded", window: 60,
		},
		"fitting": {autoscaling: v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingFitting}, maximum: 8, minReplicas: 1, maxReplicas: 8, metric: "size_fitting"},
		"CPU": {
			autoscaling: v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingCPU, CPUUtilization: new(int32(50))},
			maximum:     8, minor: 35, minReplicas: 1, maxReplicas: 8, metric: "cpu 50%", window: 300,
		},
	} {
		t.Run(name, func(t *testing.T) {
			mc := &v1alpha2.MiniCluster{}
			mc.Name, mc.Spec.MinSize, mc.Spec.Autoscaling = "a", test.minSize, &test.autoscaling
			if test.zero {
				withScaleToZero(mc)
			}
			hpa := BuildAutoscaler(mc, Fixed{Maximum: test.maximum}, Environment{ServerMinor: test.minor})
			assert.Equal(t, test.minReplicas, *hpa.Spec.MinReplicas)
			assert.Equal(t, test.maxReplicas, hpa.Spec.MaxReplicas)
			assert.Equal(t, test.window, *hpa.Spec.Behavior.ScaleDown.StabilizationWindowSeconds)
			assert.Equal(t, test.tolerance, hpa.Spec.Behavior.ScaleDown.Tolerance != nil)
			assert.True(t, Scales(hpa, mc))
			if r := hpa.Spec.Metrics[0].Resource; r != nil {
				assert.Equal(t, "cpu 50%", test.metric)
				assert.Equal(t, int32(50), *r.Target.AverageUtilization)
				return
			}
			assert.Equal(t, test.metric, hpa.Spec.Metrics[0].Object.Metric.Name)
			assert.Equal(t, test.maxReplicas, hpa.Spec.Behavior.ScaleUp.Policies[0].Value)
		})
	}
}

func TestScales(t *testing.T) {
	mc := &v1alpha2.MiniCluster{}
	mc.Name = "a"
	for ref, want := range map[autoscalingv2.CrossVersionObjectReference]bool{
		{APIVersion: "flux-framework.org/v1alpha1", Kind: "MiniCluster", Name: "a"}: true,
		{APIVersion: "flux-framework.org/v1alpha2", Kind: "MiniCluster", Name: "a"}: true,
		{APIVersion: "flux-framework.org/v1alpha2", Kind: "MiniCluster", Name: "b"}: false,
		{APIVersion: "apps/v1", Kind: "Deployment", Name: "a"}:                      false,
	} {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: ref}}
		assert.Equal(t, want, Scales(hpa, mc), "%v", ref)
	}
}
