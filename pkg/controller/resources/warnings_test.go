package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestWarnings(t *testing.T) {
	first := func(set func(*v1alpha2.MiniClusterContainer)) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { set(&mc.Spec.Containers[0]) }
	}
	config := func(text string) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{BrokerConfig: text} }
	}
	hook := func(text string) func(*v1alpha2.MiniCluster) {
		return first(func(c *v1alpha2.MiniClusterContainer) { c.Commands = &v1alpha2.Commands{Pre: text} })
	}
	const pre = "spec.containers[0].commands.pre: "
	for name, tc := range map[string]struct {
		mods []func(*v1alpha2.MiniCluster)
		want []string // the beginnings
	}{
		"nothing": {},
		"labels that selectors depend on": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Pod = &v1alpha2.PodSpec{Labels: map[string]string{"hpa-selector": "mine", "app.kubernetes.io/name": mc.Name, "team": "hpc"}}
			}},
			want: []string{`spec.pod.labels[hpa-selector]: pods have the value "flux-sample"`},
		},
		"logs that no user can write": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) {
				c.Batch, c.Logs = true, "/logs"
				c.SecurityContext = &v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsUser: new(int64(1000))}}
			})},
			want: []string{"spec.containers[0].logs: the container does not run as root"},
		},
		"logs on a volume": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) {
				c.Batch, c.Logs = true, "/data/logs"
				c.Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data", ClaimName: "data"}}
				c.SecurityContext = &v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsUser: new(int64(1000))}}
			})},
		},
		"opportunistic without requests": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) { mc.Spec.Opportunistic = &v1alpha2.Opportunistic{} }},
			want: []string{"spec.opportunistic: the pods request neither CPU nor memory"},
		},
		"opportunistic": {
			mods: []func(*v1alpha2.MiniCluster){
				withResources(list("memory", "1Gi"), nil), func(mc *v1alpha2.MiniCluster) { mc.Spec.Opportunistic = &v1alpha2.Opportunistic{} },
			},
		},
		"an autoscaler above the maximum": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.Autoscaling = nil, &v1alpha2.Autoscaling{MinSize: 1, MaxSize: 32}
			}},
			want: []string{"spec.autoscaling.maxSize: the maximum of the cluster is 1: set spec.maxSize to 32"},
		},
		"an autoscaler that has nothing to do": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.MinSize, mc.Spec.MaxSize, mc.Spec.Autoscaling = nil, 4, 4, &v1alpha2.Autoscaling{}
			}},
			want: []string{"spec.autoscaling: the size cannot change, because the minimum and the maximum of the cluster are 4"},
		},
		"an autoscaler with a maximum below the minimum of the cluster": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.MinSize, mc.Spec.MaxSize, mc.Spec.Autoscaling = nil, 4, 32, &v1alpha2.Autoscaling{MaxSize: 2}
			}},
			want: []string{"spec.autoscaling.maxSize: the size cannot change, because the minimum is 4: set a larger maxSize"},
		},
		"an autoscaler": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.MaxSize, mc.Spec.Autoscaling = 32, &v1alpha2.Autoscaling{MaxSize: 32}
			}},
		},
		"more tasks than cores": {
			mods: []func(*v1alpha2.MiniCluster){withResources(nil, list("cpu", "16")), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.Tasks = new(int32(2)), new(int32(96))
			}},
			want: []string{"spec.tasks: 96 tasks need more cores than 2 pods of 16 cores have"},
		},
		"as many tasks as cores": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) { c.Cores = 48 }), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.Tasks = new(int32(2)), new(int32(96))
			}},
		},
		"the port of the broker": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) { c.Ports = []int32{80, 8050} })},
			want: []string{"spec.containers[0].ports[1]: 8050 is the port of the Flux broker"},
		},
		"a path alone": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) {
				c.Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}, "disk": {Path: "/disk", ClaimName: "disk"}}
			})},
			want: []string{"spec.containers[0].volumes[data]: is an empty directory"},
		},
		"tests of bash":  {mods: []func(*v1alpha2.MiniCluster){hook("if [[ ! -e /a ]]; then\n b\nfi")}, want: []string{pre + `"[["`}},
		"source":         {mods: []func(*v1alpha2.MiniCluster){hook("cd /opt\nsource /etc/profile")}, want: []string{pre + `"source"`}},
		"braces":         {mods: []func(*v1alpha2.MiniCluster){hook("for i in {1..3}; do a; done")}, want: []string{pre + `"{1..3}"`}},
		"plain sh":       {mods: []func(*v1alpha2.MiniCluster){hook(". /etc/profile; echo resource ${A:-b} | grep source; [ -e /a ] && b >x 2>&1")}},
		"an interpreter": {mods: []func(*v1alpha2.MiniCluster){hook("#!/bin/bash\n[[ a ]]")}},
		"an unknown device": {
			mods: []func(*v1alpha2.MiniCluster){withResources(nil, list("rdma/hca", "1", "nvidia.com/gpu.shared", "2"))},
			want: []string{"spec.containers[0].resources.limits[rdma/hca]: is not a GPU"},
		},
		"a path of flux-operator": {
			mods: []func(*v1alpha2.MiniCluster){config("[bootstrap]\ncurve_cert = \"/mnt/flux/view/curve/curve.cert\"\n")},
			want: []string{"spec.flux.brokerConfig: /mnt/flux/view/curve/curve.cert does not exist in this layout: use /etc/curve/curve.cert"},
		},
		"our path": {mods: []func(*v1alpha2.MiniCluster){config("[bootstrap]\ncurve_cert = \"/etc/curve/curve.cert\"\n")}},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.mods...)
			got := Warnings(mc, NewFixed(mc))
			if assert.Len(t, got, len(tc.want), got) {
				for i := range got {
					assert.True(t, strings.HasPrefix(got[i], tc.want[i]), got[i])
				}
			}
		})
	}
}
