package fluxconfig

import (
	"math"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// A broker.toml as users write it, with inline tables, comments and unknown tables.
const usersBrokerTOML = `
# Flux needs to know the path to the IMP executable
[exec]
imp = "/usr/libexec/flux/flux-imp"
service = "sdexec"

[access]
allow-guest-user = true

[resource]
path = "/mnt/flux/view/etc/flux/system/R"
exclude = "0"

[bootstrap]
curve_cert = "/mnt/curve/curve.cert"
default_port = 8050
default_bind = "tcp://eth0:%p"
default_connect = "tcp://%h.flux-service.default.svc.cluster.local:%p"
hosts = [{host="flux-sample-0", bind="tcp://eth0:8050",connect="tcp://flux-sample-0:8050"},
         {host="flux-sample-[1-3]"}]

[queues.debug]
requires = ["debug"]
[[job-manager.plugins]]
load = "mf_priority.so"
`

func TestParseBrokerTOML(t *testing.T) {
	c, err := ParseBrokerTOML(usersBrokerTOML)
	require.NoError(t, err)
	assert.Equal(t, "/mnt/curve/curve.cert", c.Bootstrap.CurveCert)
	assert.Equal(t, "/mnt/flux/view/etc/flux/system/R", c.Resource.Path)
	assert.Equal(t, []Host{
		{Host: "flux-sample-0", Bind: "tcp://eth0:8050", Connect: "tcp://flux-sample-0:8050"},
		{Host: "flux-sample-[1-3]"},
	}, c.Bootstrap.Hosts)
	assert.Equal(t, &Exec{IMP: "/usr/libexec/flux/flux-imp"}, c.Exec)

	c, err = ParseBrokerTOML("")
	require.NoError(t, err)
	assert.Equal(t, Config{}, c)
}

func TestParseBrokerTOMLErrors(t *testing.T) {
	for in, want := range map[string]string{
		"[bootstrap":                      "broker.toml, line 1",
		"a = 1\nb = \n":                   "broker.toml, line 2",
		"[bootstrap]\ndefault_prot = 1\n": `broker.toml: unknown key "default_prot" in [bootstrap]`,
		"bootstrap = { x = 1 }":           `unknown key "x" in [bootstrap]`,
		"bootstrap.x = 1":                 `unknown key "x" in [bootstrap]`,
		"[[bootstrap.hosts]]\nhost = \"a\"\n[[bootstrap.hosts]]\nhost = \"b\"\nport = 1": `unknown key "port" in entry 2 of [bootstrap] hosts`,
		"[bootstrap]\nhosts = [{hots=\"a\"}]":                                            `unknown key "hots" in entry 1 of [bootstrap] hosts`,
		"[bootstrap]\ndefault_port = \"a\"":                                              "broker.toml, line 2",
		"[bootstrap]\nhosts = \"a\"":                                                     "broker.toml, line 2",
		"[access]\nallow-guest-user = 1":                                                 "broker.toml, line 2",
	} {
		_, err := ParseBrokerTOML(in)
		require.ErrorContains(t, err, want, in)
		assert.NotContains(t, err.Error(), "\n")
	}
}

// FuzzBrokerTOML checks that the broker.toml of any accepted MiniCluster is parsed as the same configuration, has
// only keys that Flux knows, and contains this MiniCluster in its host list.
func FuzzBrokerTOML(f *testing.F) {
	f.Add("flux-sample", "default", "", "", "", int32(2), int32(4), "5s", "kary:2", "", "", "", "", int32(0), int32(0), "", int32(0), uint8(0))
	f.Add("a", "b", "svc", "example.org", "/usr", int32(1), int32(0), "", "", "easy", "", "", "", int32(0), int32(0), "", int32(0), uint8(0xff))
	f.Add("burst-0", "default", "", "", "", int32(4), int32(4), "inf", "", "", "/mnt", "flux-sample", "10.0.0.1", int32(30093), int32(4), "burst-0", int32(4), uint8(1))
	f.Add("burst-0", "default", "", "", "", int32(4), int32(4), "inf", "", "", "/m\"'\\", "flux-sample", "fd77::1", int32(0), int32(4), "", int32(0), uint8(1))
	f.Fuzz(func(t *testing.T, name, namespace, service, domain, installRoot string, size, maxSize int32,
		timeout, topo, policy, mountPath, leadName, leadAddress string, leadPort, leadSize int32, burst string, burstSize int32, bits uint8,
	) {
		bit := func(i int) bool { return bits&(1<<i) != 0 }
		mc := cluster(withName(name), withSizes(size, maxSize), withFlux(v1alpha2.FluxSpec{
			InstallRoot: installRoot, ConnectTimeout: timeout, Topology: topo,
			Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: policy, Simple: bit(2)},
			Container: &v1alpha2.FluxContainer{MountPath: mountPath},
		}))
		mc.Namespace = namespace
		mc.Spec.Logging = &v1alpha2.LoggingSpec{ZeroMQ: bit(3)}
		if bit(0) {
			mc.Spec.Flux.Bursting = &v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: burst, Size: burstSize}}}
			if leadName != "" {
				mc.Spec.Flux.Bursting.LeadBroker = &v1alpha2.LeadBroker{Name: leadName, Address: leadAddress, Port: leadPort, Size: leadSize}
			}
		}
		if bit(1) {
			mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada"}}
			mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}
		}
		p := Params{HeadlessService: service, ClusterDomain: domain}
		text, err := BrokerTOML(mc, p)
		if err != nil {
			assert.Less(t, len(err.Error()), 600)
			return
		}
		want, err := BrokerConfig(mc, p)
		require.NoError(t, err)
		got, err := ParseBrokerTOML(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		assertOnlyKeysOfFlux(t, text)

		var hosts Hostlist
		for _, e := range got.Bootstrap.Hosts {
			more, err := ParseHostlist(e.Host)
			require.NoError(t, err)
			hosts = hosts.Append(more)
		}
		all, err := Hosts(mc, p)
		require.NoError(t, err)
		require.Equal(t, all, hosts)
		require.NoError(t, hosts.CheckNames())
		_, ok := hosts.Index(name + "-0")
		require.True(t, ok)
		require.LessOrEqual(t, int(max(1, size, maxSize)), hosts.Count())
		require.Less(t, hosts.Count(), math.MaxInt32)
	})
}

// assertOnlyKeysOfFlux checks that tables in which an unknown key is fatal contain only keys of the oldest supported
// Flux.
func assertOnlyKeysOfFlux(t *testing.T, text string) {
	t.Helper()
	var tables map[string]map[string]any
	require.NoError(t, toml.Unmarshal([]byte(text), &tables))
	for key := range tables["bootstrap"] {
		require.Contains(t, []string{"curve_cert", "default_port", "default_bind", "default_connect", "hosts", "enable_ipv6"}, key)
	}
	for key := range tables["resource"] {
		require.Contains(t, []string{"path", "config", "exclude", "norestrict", "noverify"}, key)
	}
	for _, host := range tables["bootstrap"]["hosts"].([]any) {
		for key := range host.(map[string]any) {
			require.Contains(t, []string{"host", "bind", "connect", "parent"}, key)
		}
	}
}
