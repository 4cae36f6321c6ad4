package fluxconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func planOf(t *testing.T, change func(*v1alpha2.MiniCluster)) *plan.Plan {
	t.Helper()
	mc := &v1alpha2.MiniCluster{}
	mc.Name, mc.Namespace = "flux-sample", "flux-operator"
	mc.Spec.Size, mc.Spec.MaxSize = new(int32(2)), 4
	mc.Spec.Containers = []v1alpha2.MiniClusterContainer{{Image: "app", Command: "hostname"}}
	if change != nil {
		change(mc)
	}
	v1alpha2.SetDefaults(mc)
	p, err := AgentPlan(mc, Params{}, 2, 30)
	require.NoError(t, err)
	return p
}

func TestAgentPlanOfLayouts(t *testing.T) {
	view := planOf(t, nil)
	assert.Equal(t, "flux-sample-[0-3]", view.Hosts)
	assert.Equal(t, 4, view.HostCount)
	assert.Equal(t, "flux-sample.flux-operator.svc.cluster.local", view.Domain)
	assert.Equal(t, &plan.View{Copied: true, MountPath: "/mnt/flux"}, view.View)
	assert.Equal(t, plan.User{}, view.User, "that of the container")

	system := planOf(t, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
		mc.Spec.Logging = &v1alpha2.LoggingSpec{}
	})
	assert.True(t, system.System)
	assert.Nil(t, system.View)
	assert.Equal(t, plan.User{Name: "flux", UID: 1000}, system.User)
	assert.True(t, system.Logging.Strict, "logging given, in the system layout")
}

func TestAgentPlanMode(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha2.MiniCluster)
		want   plan.Mode
	}{
		"a command":                 {nil, plan.ModeSubmit},
		"none":                      {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Command = "" }, plan.ModeNone},
		"interactive and a command": {func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive = true }, plan.ModeNone},
		"launcher":                  {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Launcher = true }, plan.ModeLauncher},
		"batch":                     {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Batch = true }, plan.ModeBatch},
		"diagnostics":               {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Diagnostics = true }, plan.ModeDiagnostics},
		"a script": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Command = ""
			mc.Spec.Containers[0].Commands = &v1alpha2.Commands{Script: "echo"}
		}, plan.ModeSubmit},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, planOf(t, test.change).Lead.Mode)
		})
	}
}

func TestAgentPlanResources(t *testing.T) {
	limits := func(cpu string) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), "nvidia.com/gpu": resource.MustParse("2"), "vpc.amazonaws.com/efa": resource.MustParse("4"),
			}}
		}
	}
	assert.Equal(t, plan.Resources{Cores: 2, GPUs: 2, RequestedMilliCPU: 2500}, planOf(t, limits("2500m")).Resources, "whole cores")
	assert.Equal(t, plan.Resources{Cores: 1, GPUs: 2, RequestedMilliCPU: 100}, planOf(t, limits("100m")).Resources, "at least one")
	assert.Equal(t, plan.Resources{}, planOf(t, nil).Resources, "detected on the host")
}

func TestAgentPlanOfAnOwnBrokerConfig(t *testing.T) {
	own := func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux = &v1alpha2.FluxSpec{BrokerConfig: "[bootstrap]\n", Topology: "kary:2"}
		mc.Spec.Logging = &v1alpha2.LoggingSpec{ZeroMQ: true}
	}
	assert.Equal(t, map[string]string{"tbon.topo": "kary:2", "tbon.connect_timeout": "5s", "tbon.zmqdebug": "1"}, planOf(t, own).Broker.Attributes)
	assert.Nil(t, planOf(t, nil).Broker.Attributes, "the generated broker.toml contains them")
}

// The pods of a lead with bursting are some of the hosts of its instance.
func TestAgentPlanRanks(t *testing.T) {
	bursting := func(b v1alpha2.Bursting) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{Bursting: &b} }
	}
	assert.Empty(t, planOf(t, nil).Ranks, "all hosts")
	assert.Equal(t, plan.RankMap{{Count: 4}}, planOf(t, bursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Size: 8}}})).Ranks)
	assert.Equal(t, plan.RankMap{{Count: 2}, {Index: 2, Rank: 5, Count: 2}},
		planOf(t, bursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-1],other-[0-2],flux-sample-[2-3]"})).Ranks)
	assert.Equal(t, plan.RankMap{{Rank: 2, Count: 4}}, planOf(t, bursting(v1alpha2.Bursting{
		LeadBroker: &v1alpha2.LeadBroker{Name: "lead", Address: "10.0.0.1", Size: 2}, Clusters: []v1alpha2.BurstedCluster{{Name: "flux-sample", Size: 4}},
	})).Ranks)
}

func TestAgentPlanOfSidecars(t *testing.T) {
	p := planOf(t, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers,
			v1alpha2.MiniClusterContainer{Name: "own", Image: "nginx"},
			v1alpha2.MiniClusterContainer{Name: "asked", Image: "nginx", Command: "x", NoWrapEntrypoint: true},
			v1alpha2.MiniClusterContainer{Name: "wrapped", Image: "nginx", Command: "nginx -g 'daemon off;'"},
			v1alpha2.MiniClusterContainer{Name: "hooks", Image: "nginx", Commands: &v1alpha2.Commands{Init: "a", Post: "exec serve"}},
			v1alpha2.MiniClusterContainer{Name: "before", Image: "nginx", Commands: &v1alpha2.Commands{ServicePre: "b"}},
			v1alpha2.MiniClusterContainer{Name: "nothing", Image: "nginx", Commands: &v1alpha2.Commands{Pre: "for Flux"}})
	})
	assert.Equal(t, []plan.Sidecar{
		{Name: "wrapped", Command: "nginx -g 'daemon off;'", WaitSocket: true},
		{Name: "hooks", Init: "a", Script: "exec serve", WaitSocket: true},
		{Name: "before", ServicePre: "b", Command: "true", WaitSocket: true},
	}, p.Sidecars)
}

func TestHTTPPort(t *testing.T) {
	mc := &v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Containers: []v1alpha2.MiniClusterContainer{{Ports: []int32{80}}, {}}}}
	assert.Equal(t, plan.DefaultHTTPPort, HTTPPort(mc))
	mc.Spec.Containers[0].Ports = append(mc.Spec.Containers[0].Ports, plan.DefaultHTTPPort+2)
	mc.Spec.Containers[1].Ports = []int32{plan.DefaultHTTPPort}
	assert.Equal(t, plan.DefaultHTTPPort+4, HTTPPort(mc), "the first unused port")
	mc.Spec.Containers[1].Ports = append(mc.Spec.Containers[1].Ports, plan.DefaultHTTPPort+5)
	assert.Equal(t, plan.DefaultHTTPPort+6, HTTPPort(mc), "the port above is also unused")
}
