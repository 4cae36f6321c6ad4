package prepare

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Jobs bind to CPUs only if those are exclusive to the container.
func TestAffinity(t *testing.T) {
	for name, test := range map[string]struct {
		cores           int
		request         int64
		allowed, online string
		own             bool
	}{
		"as many of the node's CPUs as requested": {4, 4000, "Cpus_allowed_list:\t2-3,6-7\n", "0-7\n", true},
		"the shared pool":                         {2, 2000, "Cpus_allowed_list:\t2-7\n", "0-7\n", false},
		"the whole node":                          {2, 2000, "Cpus_allowed_list:\t0-1\n", "0-1\n", true},
		"most of the node":                        {5, 4500, "Cpus_allowed_list:\t0-7\n", "0-7\n", true},
		"half of the node":                        {4, 4000, "Cpus_allowed_list:\t0-7\n", "0-7\n", false},
		"a limit above the request":               {7, 1000, "Cpus_allowed_list:\t0-7\n", "0-7\n", false},
		"more threads than cores":                 {6, 6000, "Cpus_allowed_list:\t0-7\n", "0-7\n", true},
		"no request":                              {0, 0, "Cpus_allowed_list:\t0-1\n", "0-7\n", false},
		"an invalid list":                         {2, 2000, "Cpus_allowed_list:\tx\n", "0-7\n", false},
		"unknown":                                 {2, 2000, "Name:\tx\n", "0-7\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, map[string]string{"/proc/self/status": test.allowed, "/sys/devices/system/cpu/online": test.online})
			i, err := Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Resources = plan.Resources{Cores: test.cores, RequestedMilliCPU: test.request} }), options(root))
			require.NoError(t, err)
			args, err := i.BrokerArgs(BrokerRun{})
			require.NoError(t, err)
			const attribute = "-Sconf.shell_initrc=/mnt/flux/config/etc/flux/system/shell-initrc.lua"
			script := filepath.Join(root, "mnt/flux/config/etc/flux/system/extra/rc1.d/90-minicluster-affinity")
			if test.own {
				assert.NotContains(t, args, attribute)
				assert.NoFileExists(t, script)
			} else {
				assert.Contains(t, args, attribute)
				assert.FileExists(t, script)
			}
		})
	}
}

// Flux binds to cores: a container with more CPUs than cores is not bound.
func TestAffinityOfThreads(t *testing.T) {
	files := map[string]string{}
	for n := range 8 {
		files[fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n)] = fmt.Sprintf("%d,%d\n", n%4, n%4+4)
	}
	sys := newSystem(image(t, files))
	c, err := sys.cpus()
	require.NoError(t, err)
	assert.Equal(t, 4, c.physical)
	assert.False(t, alone(plan.Resources{Cores: 6, RequestedMilliCPU: 6000}, c.physical, c.online))
	assert.True(t, alone(plan.Resources{Cores: 4, RequestedMilliCPU: 6000}, c.physical, c.online))
}

// Exclusive CPUs of the container are counted by core.
func TestResourcesOfExclusiveCPUs(t *testing.T) {
	root := image(t, map[string]string{"/proc/self/status": "Cpus_allowed_list:\t2-3,6-7\n"})
	i, err := Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Resources = plan.Resources{Cores: 4, RequestedMilliCPU: 4000} }), options(root))
	require.NoError(t, err)
	r, err := newSystem(root).read(i.Files.R)
	require.NoError(t, err)
	assert.Contains(t, string(r), " --local")
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]int{"0-3": 4, "0": 1, "0-1,8,10-11": 5, "": 0, "\n": 0, "3-1": -1, "x": -1, "-1": -1, "1-99999999": -1, ",": -1} {
		got, err := parseCPUs(text)
		if want < 0 {
			assert.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		assert.Len(t, got, want, text)
	}
}

func FuzzParseCPUs(f *testing.F) {
	f.Add("0-3,8")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parseCPUs(text)
		if err == nil && len(set) > maxCPUs {
			t.Fatal(len(set))
		}
	})
}

func TestResources(t *testing.T) {
	for name, test := range map[string]struct {
		resources plan.Resources
		want      string
	}{
		"the detected resources": {plan.Resources{}, "--local"},
		"cores":                  {plan.Resources{Cores: 4}, "--cores=0-3"},
		"a core and a GPU":       {plan.Resources{Cores: 1, GPUs: 1}, "--cores=0 --gpus=0"},
		"GPUs and what there":    {plan.Resources{GPUs: 2}, "--cores=0-7 --gpus=0-1"},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, nil)
			i, err := Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Resources = test.resources }), options(root))
			require.NoError(t, err)
			r, err := newSystem(root).read(i.Files.R)
			require.NoError(t, err)
			assert.Contains(t, string(r), `"arguments": "R encode --hosts=flux-sample-[0-3] `+test.want+`"`)
		})
	}
	_, err := coresOfR("x")
	assert.ErrorContains(t, err, "reading R")
}
