package validation

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// leaves sets the reserve of a resource.
func leaves(resource corev1.ResourceName, share string) edit {
	return spec(func(s *v1alpha2.MiniClusterSpec) {
		s.Opportunistic = &v1alpha2.Opportunistic{Reserve: map[corev1.ResourceName]intstr.IntOrString{resource: intstr.Parse(share)}}
	})
}

func TestValidateOpportunistic(t *testing.T) {
	weight := func(n int32) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Opportunistic = &v1alpha2.Opportunistic{Weight: n} })
	}
	run(t, []testCase{
		{name: "nothing set", edit: weight(0)},
		{name: "cores", edit: leaves("cpu", "30")},
		{name: "a percentage", edit: leaves("memory", "12.5%")},
		{name: "no number", edit: leaves("cpu", "many"), fields: []string{"spec.opportunistic.reserve[cpu]"},
			says: `Invalid value: "many": "many" is neither a quantity, such as 30 or 64Gi, nor a percentage`},
		{name: "no resource", edit: leaves("mem", "10%"), fields: []string{"spec.opportunistic.reserve[mem]"},
			says: `"mem" is not the name of a resource: use cpu, memory`},
		{name: "negative", edit: leaves("cpu", "-1"), fields: []string{"spec.opportunistic.reserve[cpu]"}, says: "use 0 or more"},
		{name: "a negative weight", edit: weight(-1), fields: []string{"spec.opportunistic.weight"}},
		{name: "a large weight", edit: weight(1001), fields: []string{"spec.opportunistic.weight"}, says: "between 1 and 1000"},
	})
}

func TestValidateDisruption(t *testing.T) {
	timeout := func(n int32) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Disruption = &v1alpha2.Disruption{DrainTimeoutSeconds: &n} })
	}
	placed := func(p v1alpha2.Placement) edit { return spec(func(s *v1alpha2.MiniClusterSpec) { s.Placement = p }) }
	run(t, []testCase{
		{name: "at once", edit: timeout(0)},
		{name: "a negative timeout", edit: timeout(-1), fields: []string{"spec.disruption.drainTimeoutSeconds"}},
		{name: "an unknown value", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Disruption = &v1alpha2.Disruption{WhenIdle: "Perhaps"} }),
			fields: []string{"spec.disruption.whenIdle"}},
		{name: "a negative limit", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.ScaleUp = &v1alpha2.ScaleUp{UnschedulableTimeoutSeconds: -1} }),
			fields: []string{"spec.scaleUp.unschedulableTimeoutSeconds"}},
		{name: "packed", edit: placed(v1alpha2.PlacementPack)},
		{name: "an unknown placement", edit: placed("Heap"), fields: []string{"spec.placement"}},
	})
}

func TestValidateLead(t *testing.T) {
	lead := func(l v1alpha2.Lead, affinity ...string) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Lead = &l
			if len(affinity) > 0 {
				s.Pod = &v1alpha2.PodSpec{NodeAffinity: map[string][]string{"kind": affinity}}
			}
		})
	}
	onDemand := v1alpha2.Lead{NodeSelector: map[string]string{"kind": "on-demand"}}
	run(t, []testCase{
		{name: "nothing set", edit: lead(v1alpha2.Lead{})},
		{name: "a selector", edit: lead(onDemand)},
		{name: "an affinity that admits it", edit: lead(onDemand, "spot", "on-demand")},
		{name: "an affinity that excludes it", edit: lead(onDemand, "spot"),
			fields: []string{"spec.lead.nodeSelector[kind]"}, says: "spec.pod.nodeAffinity"},
		{name: "no label", edit: lead(v1alpha2.Lead{NodeSelector: map[string]string{"a b": "c"}}), fields: []string{"spec.lead.nodeSelector"}},
		{name: "a toleration of nothing", edit: lead(v1alpha2.Lead{Tolerations: []corev1.Toleration{{}}}),
			fields: []string{"spec.lead.tolerations[0].operator"}},
	})
}

func TestValidateAutoscaling(t *testing.T) {
	scaled := func(a v1alpha2.Autoscaling) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Autoscaling = &a })
	}
	run(t, []testCase{
		{name: "nothing set", edit: scaled(v1alpha2.Autoscaling{})},
		{name: "all", edit: scaled(v1alpha2.Autoscaling{
			MinSize: 2, MaxSize: 5, Metric: v1alpha2.AutoscalingCPU, CPUUtilization: new(int32(50)), IdleSeconds: new(int32(0)),
		})},
		{name: "bounds that cross", edit: scaled(v1alpha2.Autoscaling{MinSize: 3, MaxSize: 2}),
			fields: []string{"spec.autoscaling.minSize"}, says: "must not be more than maxSize, 2"},
		{name: "negative bounds", edit: scaled(v1alpha2.Autoscaling{MinSize: -1, MaxSize: -1}),
			fields: []string{"spec.autoscaling.minSize", "spec.autoscaling.maxSize"}},
		{name: "an unknown metric", edit: scaled(v1alpha2.Autoscaling{Metric: "Hope"}), fields: []string{"spec.autoscaling.metric"}},
		{name: "a utilization without CPU", edit: scaled(v1alpha2.Autoscaling{CPUUtilization: new(int32(50))}),
			fields: []string{"spec.autoscaling.cpuUtilization"}, says: "set metric to CPU"},
		{name: "a long window", edit: scaled(v1alpha2.Autoscaling{IdleSeconds: new(int32(3601))}),
			fields: []string{"spec.autoscaling.idleSeconds"}, says: "between 0 and 3600"},
	})
}
