package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

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
			mods: []func(*v1alpha2.MiniCluster){withResources(nil, list("cpu", "16")), program("lmp"), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Size, mc.Spec.Tasks = new(int32(2)), new(int32(96))
			}},
			want: []string{"spec.tasks: 96 tasks need more cores than 2 pods of 16 cores have"},
		},
		"as many tasks as cores": {
			mods: []func(*v1alpha2.MiniCluster){first(func(c *v1alpha2.MiniClusterContainer) { c.Cores = 48 }), program("lmp"), func(mc *v1alpha2.MiniCluster) {
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

// program makes a cluster run a command.
func program(command string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive, mc.Spec.Containers[0].Command = false, command }
}

func TestTasksThatNeverStart(t *testing.T) {
	type job struct {
		size, maxSize, tasks, cores int32
		cpu, gpu                    string
		options, submit             string
		mode                        func(*v1alpha2.MiniCluster)
	}
	launcher := func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Launcher = true }
	batch := func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Batch = true }
	interactive := func(mc *v1alpha2.MiniCluster) { mc.Spec.Interactive = true }
	const options, never = "spec.flux.optionFlags: ", "the job never starts"
	for name, tc := range map[string]struct {
		job  job
		want string
	}{
		"a core per pod":                  {job{size: 2, tasks: 3, cpu: "500m"}, "spec.tasks: 3 tasks need more cores than 2 pods of 1 cores have"},
		"half a core":                     {job{size: 2, tasks: 3, cpu: "1500m"}, "spec.tasks: 3 tasks"},
		"exactly":                         {job{size: 4, tasks: 64, cpu: "16"}, ""},
		"more cores than CPUs":            {job{size: 2, tasks: 16, cores: 8, cpu: "2"}, ""},
		"more pods than at creation":      {job{size: 2, maxSize: 8, tasks: 96, cpu: "16"}, never},
		"fewer tasks than pods":           {job{size: 4, tasks: 2, cpu: "1"}, ""},
		"all nodes":                       {job{size: 2, tasks: 0, cpu: "4"}, ""},
		"unknown cores":                   {job{size: 2, tasks: 96}, ""},
		"launcher":                        {job{size: 2, tasks: 96, cpu: "4", mode: launcher}, ""},
		"interactive":                     {job{size: 2, tasks: 96, cpu: "4", mode: interactive}, ""},
		"batch":                           {job{size: 2, tasks: 96, cpu: "4", mode: batch}, "spec.tasks: 96 tasks"},
		"cores per task":                  {job{size: 2, tasks: 8, cpu: "4", options: "-c 2"}, options + "8 tasks of 2 cores need more cores"},
		"cores per task, long":            {job{size: 2, tasks: 8, cpu: "4", options: "--cores-per-task=2"}, options + "8 tasks of 2 cores"},
		"cores per slot":                  {job{size: 2, tasks: 8, cpu: "4", options: "--cores-per-slot 2", mode: batch}, options + "8 tasks of 2 cores"},
		"cores per task that fit":         {job{size: 2, tasks: 4, cpu: "4", options: "-c2"}, ""},
		"tasks that do not share a core":  {job{size: 2, tasks: 4, cpu: "3", options: "-c2"}, options + "4 tasks of 2 cores"},
		"nodes":                           {job{size: 2, tasks: 4, cpu: "4", options: "-N 4"}, options + "the job needs 4 nodes, and the cluster has at most 2 pods"},
		"nodes that may come":             {job{size: 2, maxSize: 4, tasks: 4, cpu: "4", options: "--nodes=4"}, options + "the job needs 4 nodes, and 2 pods are created"},
		"other tasks":                     {job{size: 2, tasks: 2, cpu: "4", options: "-n 100"}, options + "100 tasks"},
		"fewer tasks":                     {job{size: 2, tasks: 96, cpu: "4", options: "--ntasks=4"}, ""},
		"tasks of the submit command":     {job{size: 2, tasks: 4, cpu: "4", submit: "flux run -c 4"}, "spec.flux.submitCommand: 4 tasks of 4 cores"},
		"a variable":                      {job{size: 2, tasks: 4, cpu: "4", options: "-c $OMP_NUM_THREADS"}, ""},
		"an option of the job shell":      {job{size: 2, tasks: 4, cpu: "4", options: "-o gpu-affinity=per-task -o cpu-affinity=off"}, ""},
		"GPUs":                            {job{size: 2, tasks: 8, cpu: "8", gpu: "2", options: "-g 1"}, options + "8 tasks need more GPUs than 2 pods of 2 GPUs"},
		"GPUs that fit":                   {job{size: 2, tasks: 4, cpu: "8", gpu: "2", options: "-g1"}, ""},
		"no GPUs":                         {job{size: 2, tasks: 2, cpu: "8", options: "--gpus-per-task=1"}, options + "the tasks need GPUs, and Flux knows none"},
		"GPUs that Flux may detect":       {job{size: 2, tasks: 2, options: "-g 1"}, ""},
		"tasks per node":                  {job{size: 2, tasks: 4, cpu: "4", options: "--tasks-per-node=4"}, options + "flux rejects --tasks-per-node together"},
		"GPUs per node":                   {job{size: 2, cpu: "4", gpu: "4", options: "--gpus-per-node=8"}, options + "the job needs 8 GPUs of each node, and Flux knows 4"},
		"GPUs per node that fit":          {job{size: 2, cpu: "4", gpu: "4", options: "--gpus-per-node 4"}, ""},
		"all cores":                       {job{size: 2, cpu: "4", options: "--cores=9"}, options + "the job needs 9 cores, and 2 pods of 4 cores"},
		"all cores that exist":            {job{size: 2, cpu: "4", options: "--cores=8"}, ""},
		"all cores of the largest size":   {job{size: 2, maxSize: 8, cpu: "2", options: "--cores=6"}, ""},
		"options in quotes":               {job{size: 2, tasks: 4, cpu: "4", options: "--setattr=system.x='a -N 9' -c '1'"}, ""},
		"options on several lines":        {job{size: 2, tasks: 4, cpu: "4", options: "-o cpu-affinity=per-task\n-N \"4\""}, options + "the job needs 4 nodes"},
		"tasks per node of all nodes":     {job{size: 2, tasks: 0, cpu: "4", options: "--tasks-per-node=4"}, ""},
		"any pods for fewer tasks":        {job{size: 4, maxSize: 6, tasks: 3, cpu: "2", options: "-c 2"}, ""},
		"tasks that no pod has cores for": {job{size: 4, tasks: 3, cpu: "2", options: "-c 4"}, options + "3 tasks of 4 cores"},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(program("lmp"))
			j := tc.job
			mc.Spec.Size, mc.Spec.MaxSize, mc.Spec.Tasks, mc.Spec.Containers[0].Cores = new(j.size), j.maxSize, new(j.tasks), j.cores
			mc.Spec.Flux = &v1alpha2.FluxSpec{OptionFlags: j.options, SubmitCommand: j.submit}
			if j.cpu != "" {
				withResources(nil, list("cpu", j.cpu))(mc)
			}
			if j.gpu != "" {
				mc.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"] = resource.MustParse(j.gpu)
			}
			if j.mode != nil {
				j.mode(mc)
			}
			got := Warnings(mc, NewFixed(mc))
			if tc.want == "" {
				assert.Empty(t, got)
				return
			}
			if assert.Len(t, got, 1, got) {
				assert.Contains(t, got[0], tc.want)
			}
		})
	}
}

func TestSidecarsNamedAsTheHeadlessService(t *testing.T) {
	for _, tc := range []struct {
		name, sidecar, headless string
		ports                   []int32
		want                    bool
	}{
		{name: "same name", sidecar: "web", headless: "web", ports: []int32{80}, want: true},
		{name: "same name, no ports", sidecar: "web", headless: "web"},
		{name: "other name", sidecar: "web", headless: "net", ports: []int32{80}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Network = &v1alpha2.Network{HeadlessName: tc.headless}
				mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: tc.sidecar, Ports: tc.ports})
			})
			got := Warnings(mc, NewFixed(mc))
			if !tc.want {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], "spec.containers[1].name")
			assert.Contains(t, got[0], "spec.network.headlessName")
		})
	}
}

func TestPortsOfOnePod(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].Ports = []int32{8080, 9560}
		mc.Spec.Containers = append(mc.Spec.Containers,
			v1alpha2.MiniClusterContainer{Name: "web", Ports: []int32{80, 8080}}, v1alpha2.MiniClusterContainer{Name: "proxy", Ports: []int32{8050}})
		mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "a", Ports: []int32{8050, 5000}}, {Name: "b", Ports: []int32{5000}}}
	})
	assert.Equal(t, []string{
		"spec.containers[1].ports[1]: 8080 is the port of spec.containers[0].ports[0], and containers of a pod share their ports: use another port",
		"spec.containers[2].ports[0]: 8050 is the port of the Flux broker of every pod: use another port",
		"spec.services[1].ports[0]: 5000 is the port of spec.services[0].ports[1], and containers of a pod share their ports: use another port",
	}, Warnings(mc, NewFixed(mc)))
}

func TestConstructsOfBash(t *testing.T) {
	for text, want := range map[string]string{
		"if [ -e x ]; then source a.sh; fi": "source",
		"[ \"$a\" == b ] && c":              "[ \"$a\" ==",
		"for ((i=0; i<3; i++)); do a; done": "for ((",
		"for i in x; do ((i++)); done":      "((",
		"((i++))":                           "((",
		"set -euo pipefail":                 "set -euo pipefail",
		"trap 'echo x' ERR":                 "trap '' ERR",
		"export -f run":                     "export -f",
		"hosts=(a b)":                       "hosts=(",
		"PATH+=:/opt/bin":                   "PATH+=",
		"echo ${a^^}":                       "${a^",
		"echo ${a:0:3}":                     "${a:0",
		"echo ${!name}":                     "${!name",
		"echo ${hosts[@]}":                  "${hosts[",
		"cp /data/{a,b} /tmp":               "/{a,b}",
		"for i in {a..c}; do b; done":       "{a..c}",
		"IFS=$'\\n'":                        "$'",
		"a |& tee log":                      "|&",
		"read -a words < file":              "read -a",
		"sleep $RANDOM":                     "$RANDOM",
		"printf -v x %03d 1":                "printf -v",
		"diff <(a) <(b)":                    "<(",
		// What sh supports.
		"trap 'rm -rf \"$tmp\"' EXIT; set -eu":                 "",
		"cat > f <<'E'\nx = 1\nE":                              "",
		"echo ${a:-b} ${a:+c} ${a%.x} ${a##*/} ${#a} $((1+2))": "",
		"awk '{a[$1] == 3 {print}}' f":                         "",
		"# source this first\nf() { a; }; f 2>&1 >&2":          "",
		"sed -i 's/[[ ]//' f; [ $a = b ] || exit 3":            "",
		"curl -d '{\"a\":1,\"b\":2}' host; echo {} resource":   "",
		"printf '%s' x; read -r line; local x=1":               "",
		"read -p '? ' a":                                       "",
	} {
		assert.Equal(t, want, findBashism(quotedText.ReplaceAllString(text, "''")), text)
	}
}

func TestShellsOfHooksAndCommands(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*v1alpha2.MiniClusterContainer)
		want string
	}{
		"python in a hook": {func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Pre: "#!/usr/bin/env python3\nimport os"}
		}, "spec.containers[0].commands.pre: a shell runs hooks, not python3"},
		"python in a script": {func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Script: "#!/usr/bin/python3 -u\nimport os"}
		}, ""},
		"bash in a hook": {func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Post: "#!/bin/bash -e\n[[ a ]]"}
		}, ""},
		"bash in preCommand":      {func(c *v1alpha2.MiniClusterContainer) { c.PreCommand = "source /etc/profile" }, "spec.containers[0].preCommand: \"source\""},
		"bash in a command":       {func(c *v1alpha2.MiniClusterContainer) { c.Command = "source env.sh && lmp" }, "spec.containers[0].command: \"source\" is a construct of bash, and /bin/sh runs the command"},
		"a command that is bash":  {func(c *v1alpha2.MiniClusterContainer) { c.Command = "/bin/bash -c \"source env.sh && lmp\"" }, ""},
		"an argument like source": {func(c *v1alpha2.MiniClusterContainer) { c.Command = "lmp -in 'a; source b' -v source x" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(program("lmp"), func(mc *v1alpha2.MiniCluster) { tc.set(&mc.Spec.Containers[0]) })
			got := Warnings(mc, NewFixed(mc))
			if tc.want == "" {
				assert.Empty(t, got)
			} else if assert.Len(t, got, 1, got) {
				assert.Contains(t, got[0], tc.want)
			}
		})
	}
}
