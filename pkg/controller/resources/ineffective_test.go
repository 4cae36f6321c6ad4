package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestFieldsWithoutEffect(t *testing.T) {
	flux := func(set func(*v1alpha2.FluxSpec)) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			if mc.Spec.Flux == nil {
				mc.Spec.Flux = &v1alpha2.FluxSpec{}
			}
			set(mc.Spec.Flux)
		}
	}
	first := func(set func(*v1alpha2.MiniClusterContainer)) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { set(&mc.Spec.Containers[0]) }
	}
	sidecar := func(set func(*v1alpha2.MiniClusterContainer)) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			withSidecars(mc)
			set(&mc.Spec.Containers[2])
		}
	}
	for name, tc := range map[string]struct {
		mods []func(*v1alpha2.MiniCluster)
		env  Environment
		want []string // the fields
	}{
		"nothing":  {},
		"sidecars": {mods: []func(*v1alpha2.MiniCluster){withSidecars}},
		"restful": {mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) { mc.Spec.FluxRestful = &v1alpha2.FluxRestful{} }},
			want: []string{"spec.fluxRestful"}},
		"flux": {
			mods: []func(*v1alpha2.MiniCluster){flux(func(f *v1alpha2.FluxSpec) {
				f.Arch, f.CurveCert, f.CurveCertSecret = "arm", "x", "y"
				f.BrokerConfig, f.Scheduler = "[a]", &v1alpha2.FluxScheduler{QueuePolicy: "easy"}
			})},
			want: []string{"spec.flux.arch", "spec.flux.curveCert", "spec.flux.scheduler.queuePolicy"},
		},
		"a view in the system layout": {
			mods: []func(*v1alpha2.MiniCluster){sample.WithInstallRoot, flux(func(f *v1alpha2.FluxSpec) { f.Container = &v1alpha2.FluxContainer{} })},
			want: []string{"spec.flux.container"},
		},
		"a program of an interactive cluster": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) {
				c.Command, c.BatchRaw, c.NoWrapEntrypoint = "x", true, true
				c.Commands = &v1alpha2.Commands{ServicePre: "x", RunFluxAsRoot: true}
				c.FluxUser = &v1alpha2.FluxUser{}
			})},
			want: []string{
				"spec.containers[0].command", "spec.containers[0].batchRaw", "spec.containers[0].noWrapEntrypoint", "spec.containers[0].commands.servicePre",
				"spec.containers[0].fluxUser", "spec.containers[0].commands.runFluxAsRoot",
			},
		},
		"settings of a program without one": {
			mods: []func(*v1alpha2.MiniCluster){flux(func(f *v1alpha2.FluxSpec) {
				f.OptionFlags, f.SubmitCommand = "-o cpu-affinity=per-task", "flux run"
			}), first(func(c *v1alpha2.MiniClusterContainer) { c.Command, c.Logs, c.Launcher = "", "/data/logs", true }),
				func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive, mc.Spec.Tasks = true, new(int32(92)) }},
			want: []string{"spec.tasks", "spec.flux.optionFlags", "spec.flux.submitCommand", "spec.containers[0].logs", "spec.containers[0].launcher"},
		},
		"a script of an interactive cluster": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) {
				c.Command, c.Commands = "", &v1alpha2.Commands{Script: "x", Prefix: "time"}
			}), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Interactive, mc.Spec.Logging = true, &v1alpha2.LoggingSpec{Quiet: true, Timed: true, Debug: true}
			}},
			want: []string{"spec.containers[0].commands.script", "spec.logging.debug", "spec.containers[0].commands.prefix"},
		},
		"settings of a program with diagnostics": {
			mods: []func(*v1alpha2.MiniCluster){
				flux(func(f *v1alpha2.FluxSpec) { f.OptionFlags, f.Wrap = "-o x", "strace" }),
				first(func(c *v1alpha2.MiniClusterContainer) { c.Command, c.Diagnostics, c.Logs = "", true, "/logs" }),
				func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive, mc.Spec.Tasks = true, new(int32(4)) },
			},
			want: []string{"spec.tasks", "spec.flux.optionFlags", "spec.containers[0].logs"},
		},
		"settings of a job with launcher": {
			mods: []func(*v1alpha2.MiniCluster){
				flux(func(f *v1alpha2.FluxSpec) { f.OptionFlags, f.SubmitCommand = "-o x", "flux run" }),
				first(func(c *v1alpha2.MiniClusterContainer) {
					c.Command, c.Launcher, c.Logs, c.Commands = "x", true, "/logs", &v1alpha2.Commands{Prefix: "time"}
				}),
				func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive, mc.Spec.Tasks = false, new(int32(4)) },
			},
			want: []string{"spec.tasks", "spec.flux.optionFlags", "spec.flux.submitCommand"},
		},
		"options that a launcher reads": {
			mods: []func(*v1alpha2.MiniCluster){sample.WithInstallRoot,
				func(mc *v1alpha2.MiniCluster) {
					mc.Spec.Flux.OptionFlags, mc.Spec.Interactive = "-ompi=openmpi@5", false
				},
				first(func(c *v1alpha2.MiniClusterContainer) { c.Command, c.Launcher = "x", true }),
			},
		},
		"a submit command with batch": {
			mods: []func(*v1alpha2.MiniCluster){
				flux(func(f *v1alpha2.FluxSpec) { f.OptionFlags, f.SubmitCommand = "-o x", "flux run" }),
				first(func(c *v1alpha2.MiniClusterContainer) { c.Command, c.Batch, c.Logs = "x", true, "/tmp/logs" }),
				func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive, mc.Spec.Tasks = false, new(int32(4)) },
			},
			want: []string{"spec.flux.submitCommand"},
		},
		"fields of the Flux container": {
			mods: []func(*v1alpha2.MiniCluster){sidecar(func(c *v1alpha2.MiniClusterContainer) {
				c.Launcher, c.Cores, c.PreCommand = true, 2, "x"
				c.Commands = &v1alpha2.Commands{Pre: "x", WorkerPre: "y"}
			})},
			want: []string{
				"spec.containers[2].launcher", "spec.containers[2].cores", "spec.containers[2].preCommand",
				"spec.containers[2].commands.pre", "spec.containers[2].commands.workerPre",
			},
		},
		"the entrypoint of the image": {
			mods: []func(*v1alpha2.MiniCluster){sidecar(func(c *v1alpha2.MiniClusterContainer) {
				c.NoWrapEntrypoint, c.Command, c.Commands = true, "x", &v1alpha2.Commands{Post: "y"}
			})},
			want: []string{"spec.containers[2].command", "spec.containers[2].commands.post"},
		},
		"services": {
			mods: []func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "a", Command: "x", Batch: true, Commands: &v1alpha2.Commands{Init: "y"}}}
			}},
			want: []string{"spec.services[0].batch", "spec.services[0].commands.init"},
		},
		"an older server": {env: Environment{ServerMinor: 28}, mods: []func(*v1alpha2.MiniCluster){withSidecars}, want: []string{"spec.containers[2]"}},
		"resources of the pod": {
			mods: []func(*v1alpha2.MiniCluster){withResources(list("cpu", "2"), nil), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Pod = &v1alpha2.PodSpec{Resources: list("cpu", "1")}
			}},
			want: []string{"spec.pod.resources[cpu]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.mods...)
			var fields []string
			for _, line := range IneffectiveFields(mc, NewFixed(mc), tc.env) {
				field, why, _ := strings.Cut(line, ": ")
				require.NotEmpty(t, why)
				fields = append(fields, field)
			}
			assert.Equal(t, tc.want, fields)
		})
	}
}
