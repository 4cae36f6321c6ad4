package fluxconfig

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/golden"
)

// cluster returns a MiniCluster of size 2 and maximum 4, changed by edits.
func cluster(edits ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	size := int32(2)
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "flux-sample", Namespace: "default"},
		Spec: v1alpha2.MiniClusterSpec{
			Size: &size, MaxSize: 4,
			Containers: []v1alpha2.MiniClusterContainer{{Image: "ubuntu"}},
		},
	}
	for _, edit := range edits {
		edit(mc)
	}
	return mc
}

func withFlux(f v1alpha2.FluxSpec) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &f }
}

func withBursting(b v1alpha2.Bursting) func(*v1alpha2.MiniCluster) {
	return withFlux(v1alpha2.FluxSpec{ConnectTimeout: "5s", Bursting: &b})
}

func withSizes(size, maxSize int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize = &size, maxSize }
}

func withName(name string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Name = name }
}

func withLimit(name corev1.ResourceName, quantity string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{
			Limits: corev1.ResourceList{name: resource.MustParse(quantity)},
		}
	}
}

var (
	parentOfBurst = v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "burst-0", Size: 4}, {Size: 2}, {}}}
	childOfBurst  = v1alpha2.Bursting{
		LeadBroker: &v1alpha2.LeadBroker{Name: "flux-sample", Address: "10.77.0.10", Port: 30093, Size: 4},
		Clusters:   parentOfBurst.Clusters,
	}
)

// shapes are the MiniClusters with a golden broker.toml. Brokers of Flux 0.49 and 0.88 have read each of these files.
func shapes() map[string]*v1alpha2.MiniCluster {
	return map[string]*v1alpha2.MiniCluster{
		"view":         cluster(),
		"view-limits":  cluster(withLimit(corev1.ResourceCPU, "2")),
		"view-mount":   cluster(withFlux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/opt/flux-view"}})),
		"view-simple":  cluster(withFlux(v1alpha2.FluxSpec{Scheduler: &v1alpha2.FluxScheduler{Simple: true}})),
		"view-big":     cluster(withSizes(100, 10000)),
		"view-single":  cluster(withSizes(1, 0)),
		"system":       cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "/usr", ConnectTimeout: "5s"})),
		"system-users": cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "/usr", MungeSecret: "munge"})),
		"system-tuned": cluster(
			withFlux(v1alpha2.FluxSpec{
				InstallRoot: "/usr", ConnectTimeout: "0.5m", Topology: "kary:2",
				Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: "easy"},
			}),
			func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Logging = &v1alpha2.LoggingSpec{ZeroMQ: true}
				mc.Spec.Network = &v1alpha2.Network{HeadlessName: "shared"}
				mc.Spec.Containers[0].Cores = 2
			}),
		"burst-parent":   cluster(withBursting(parentOfBurst)),
		"burst-child":    cluster(withName("burst-0"), withSizes(4, 0), withBursting(childOfBurst)),
		"burst-hostlist": cluster(withBursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3],compute-a-[001-003]"})),
		"burst-hostlist-child": cluster(withName("burst"), withSizes(2, 0), withBursting(v1alpha2.Bursting{
			Hostlist:   "10.77.0.10,flux-sample-[1-3],burst-[0-1]",
			LeadBroker: &v1alpha2.LeadBroker{Name: "flux-sample", Address: "10.77.0.10", Size: 4},
		})),
	}
}

func TestBrokerTOML(t *testing.T) {
	for name, mc := range shapes() {
		t.Run(name, func(t *testing.T) {
			text, err := BrokerTOML(mc, Params{})
			require.NoError(t, err)
			golden.Check(t, name+".toml", []byte(text))

			config, err := BrokerConfig(mc, Params{})
			require.NoError(t, err)
			parsed, err := ParseBrokerTOML(text)
			require.NoError(t, err)
			assert.Equal(t, config, parsed)
		})
	}
}

// The values of the creation apply, not those of the current spec.
func TestBrokerTOMLFollowsParams(t *testing.T) {
	mc := cluster(withSizes(3, 9), withFlux(v1alpha2.FluxSpec{ConnectTimeout: "5s"}))
	text, err := BrokerTOML(mc, Params{
		Name: "flux-sample", Namespace: "other", HeadlessService: "svc",
		ClusterDomain: "example.org.", MaximumSize: 4, Layout: LayoutSystem,
	})
	require.NoError(t, err)
	c, err := ParseBrokerTOML(text)
	require.NoError(t, err)
	assert.Equal(t, []Host{{Host: "flux-sample-[0-3]"}}, c.Bootstrap.Hosts)
	assert.Equal(t, "tcp://%h.svc.other.svc.example.org:%p", c.Bootstrap.DefaultConnect)
	assert.Equal(t, "/etc/curve/curve.cert", c.Bootstrap.CurveCert)

	again, err := BrokerTOML(cluster(withSizes(1, 1), withFlux(v1alpha2.FluxSpec{ConnectTimeout: "5s"})), Params{
		Namespace: "other", HeadlessService: "svc", ClusterDomain: "example.org", MaximumSize: 4, Layout: LayoutSystem,
	})
	require.NoError(t, err)
	assert.Equal(t, text, again)
}

func TestBrokerTOMLOfADocumentWithoutNamespace(t *testing.T) {
	want, err := BrokerTOML(cluster(), Params{})
	require.NoError(t, err)
	got, err := BrokerTOML(cluster(func(mc *v1alpha2.MiniCluster) { mc.Namespace = "" }), Params{})
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// The default sizes of bursted clusters are also those of the creation.
func TestBurstingDoesNotFollowTheSize(t *testing.T) {
	before, err := BrokerTOML(cluster(withSizes(4, 4), withBursting(parentOfBurst)), Params{MaximumSize: 4})
	require.NoError(t, err)
	after, err := BrokerTOML(cluster(withSizes(1, 4), withBursting(parentOfBurst)), Params{MaximumSize: 4})
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// Ranks only match if parent and child have the same hosts in the same order.
func TestParentAndChildAgreeOnHosts(t *testing.T) {
	parent, err := Hosts(cluster(withBursting(parentOfBurst)), Params{})
	require.NoError(t, err)
	child, err := Hosts(cluster(withName("burst-0"), withSizes(4, 0), withBursting(childOfBurst)), Params{})
	require.NoError(t, err)
	assert.Equal(t, parent, child)
	assert.Equal(t, "flux-sample-[0-3],burst-0-[0-3],burst-1-[0-1],burst-2-[0-3]", parent.String())

	c, err := BrokerConfig(cluster(withName("burst-0"), withSizes(4, 0), withBursting(childOfBurst)), Params{})
	require.NoError(t, err)
	var joined Hostlist
	for _, e := range c.Bootstrap.Hosts {
		joined = joined.Append(mustHosts(t, e.Host))
	}
	assert.Equal(t, parent, joined)
	assert.Equal(t, "tcp://10.77.0.10:30093", c.Bootstrap.Hosts[0].Connect)
}

func TestBrokerTOMLErrors(t *testing.T) {
	child := func(lead v1alpha2.LeadBroker) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			withName("burst-0")(mc)
			withBursting(v1alpha2.Bursting{LeadBroker: &lead, Clusters: []v1alpha2.BurstedCluster{{Size: 4}}})(mc)
		}
	}
	lead := v1alpha2.LeadBroker{Name: "flux-sample", Address: "a.example.org", Port: 8050, Size: 4}
	for name, tc := range map[string]struct {
		mc          *v1alpha2.MiniCluster
		p           Params
		field, want string
	}{
		"name":             {cluster(withName("a_b")), Params{}, "metadata.name", "RFC 1123 label"},
		"name too long":    {cluster(withName(strings.Repeat("a", 63))), Params{}, "metadata.name", "1 to 63"},
		"namespace":        {cluster(), Params{Namespace: "a.b"}, "metadata.namespace", "must not contain dots"},
		"service":          {cluster(), Params{HeadlessService: "a:%p/"}, "spec.network.headlessName", "RFC 1123 label"},
		"cluster domain":   {cluster(), Params{ClusterDomain: "a b"}, "", `cluster domain "a b"`},
		"layout":           {cluster(), Params{Layout: "other"}, "", `layout "other"`},
		"maximum":          {cluster(), Params{MaximumSize: -1}, "spec.maxSize", "-1 hosts: must be 1 to 1048576"},
		"maximum, largest": {cluster(), Params{MaximumSize: MaxHostRange + 1}, "spec.maxSize", "must be 1 to 1048576"},
		"mount path": {cluster(withFlux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "flux"}})), Params{},
			"spec.flux.container.mountPath", "absolute"},
		"mount path is root": {cluster(withFlux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/x/.."}})), Params{},
			"spec.flux.container.mountPath", "another directory than /"},
		"mount path with blank": {cluster(withFlux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/a b"}})), Params{},
			"spec.flux.container.mountPath", "blank"},
		"mount path too long": {cluster(withFlux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/" + strings.Repeat("x", 90)}})), Params{},
			"spec.flux.container.mountPath", "more than 107"},
		"install root":           {cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "usr"})), Params{}, "spec.flux.installRoot", "absolute"},
		"install root not UTF-8": {cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "/\xa9"})), Params{}, "spec.flux.installRoot", "UTF-8"},
		"connect timeout": {cluster(withFlux(v1alpha2.FluxSpec{ConnectTimeout: "5 s"})), Params{},
			"spec.flux.connectTimeout", `"5 s" is not a Flux standard duration`},
		"topology": {cluster(withFlux(v1alpha2.FluxSpec{Topology: "tree:2"})), Params{}, "spec.flux.topology", `unknown scheme "tree"`},
		"queue policy": {cluster(withFlux(v1alpha2.FluxSpec{Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: "lifo"}})), Params{},
			"spec.flux.scheduler.queuePolicy", "must be fcfs"},
		"broker config": {cluster(withFlux(v1alpha2.FluxSpec{BrokerConfig: "[bootstrap"})), Params{}, "spec.flux.brokerConfig", "line 1"},
		"hostlist": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-"})), Params{},
			"spec.flux.bursting.hostlist", "an opening bracket without a closing one"},
		"hostlist and clusters": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3]", Clusters: parentOfBurst.Clusters})), Params{},
			"spec.flux.bursting.hostlist", "together with clusters"},
		"hostlist without this MiniCluster": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "a[0-9]"})), Params{},
			"spec.flux.bursting.hostlist", "host flux-sample-0 of this MiniCluster is not in the list"},
		"hostlist too short": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-2]"})), Params{},
			"spec.flux.bursting.hostlist", "host flux-sample-3 of this MiniCluster is not in the list"},
		"hostlist in another order": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "a-0,flux-sample-[0-3]"})), Params{},
			"spec.flux.bursting.hostlist", "the first host must be flux-sample-0, the lead broker, and is a-0"},
		"hostlist names": {cluster(withBursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3],a_b"})), Params{},
			"spec.flux.bursting.hostlist", "only letters, digits"},
		"cluster with the name of this MiniCluster": {cluster(withBursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "flux-sample"}}})), Params{},
			"spec.flux.bursting.clusters[0]", "host flux-sample-0 is in the list more than once"},
		"clusters with the same name": {cluster(withBursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "burst-1"}, {}}})), Params{},
			"spec.flux.bursting.clusters[1]", "host burst-1-0 is in the list more than once"},
		"cluster of negative size": {cluster(withBursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Size: -4}}})), Params{},
			"spec.flux.bursting.clusters[0]", "must not be negative"},
		"cluster name": {cluster(withBursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "a["}}})), Params{},
			"spec.flux.bursting.clusters[0]", "a bracket, comma or blank in the name"},
		"too many hosts": {cluster(withBursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Size: MaxHostRange}}})), Params{},
			"spec.flux.bursting.clusters[0]", "1048580 hosts in all: must be at most 1048576"},
		"child that is not in the list": {cluster(withBursting(v1alpha2.Bursting{LeadBroker: &v1alpha2.LeadBroker{Name: "a", Address: "b", Size: 1}})), Params{},
			"spec.flux.bursting.leadBroker", "host flux-sample-0 of this MiniCluster is not in the list a-0"},
		"child that is the lead": {cluster(withBursting(v1alpha2.Bursting{LeadBroker: &lead})), Params{},
			"spec.flux.bursting.leadBroker", "the first host must be the lead broker elsewhere, and is flux-sample-0"},
		"lead without size": {cluster(child(v1alpha2.LeadBroker{Name: "flux-sample", Address: "a"})), Params{},
			"spec.flux.bursting.leadBroker", "name and size"},
		"lead address": {cluster(child(v1alpha2.LeadBroker{Name: "flux-sample", Address: "tcp://a:%p", Size: 4})), Params{},
			"spec.flux.bursting.leadBroker.address", `"tcp://a:%p" is not an IP address or a host name`},
		"lead without address": {cluster(child(v1alpha2.LeadBroker{Name: "flux-sample", Size: 4})), Params{},
			"spec.flux.bursting.leadBroker.address", "1 to 253"},
		"lead port": {cluster(child(v1alpha2.LeadBroker{Name: "flux-sample", Address: "a", Port: 70000, Size: 4})), Params{},
			"spec.flux.bursting.leadBroker.port", "70000: must be 1 to 65535"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := BrokerTOML(tc.mc, tc.p)
			require.ErrorContains(t, err, tc.want)
			var f *FieldError
			if tc.field == "" {
				assert.NotErrorAs(t, err, &f)
				return
			}
			require.ErrorAs(t, err, &f)
			assert.Equal(t, tc.field, f.Field)
			require.Error(t, errors.Unwrap(f))
			assert.Less(t, len(err.Error()), 400)
		})
	}
}

func TestBrokerConfigOfTheUser(t *testing.T) {
	text := "# mine\n[access]\nallow-guest-user = true\n\n[mine]\nx = 1\n"
	got, err := BrokerTOML(cluster(withFlux(v1alpha2.FluxSpec{BrokerConfig: text})), Params{})
	require.NoError(t, err)
	assert.Equal(t, text, got)
}

func TestDerivedResources(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*v1alpha2.MiniCluster)
		want bool
	}{
		"unset":        {func(*v1alpha2.MiniCluster) {}, false},
		"cpu limit":    {withLimit(corev1.ResourceCPU, "500m"), true},
		"device":       {withLimit("nvidia.com/gpu", "1"), true},
		"memory limit": {withLimit(corev1.ResourceMemory, "1Gi"), false},
		"no device":    {withLimit("nvidia.com/gpu", "0"), false},
		"cores":        {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Cores = 2 }, true},
		"request only": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
			}
		}, false},
		"limit of a sidecar": {func(mc *v1alpha2.MiniCluster) {
			withLimit(corev1.ResourceCPU, "1")(mc)
			mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{RunFlux: true})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := BrokerConfig(cluster(tc.edit), Params{})
			require.NoError(t, err)
			assert.Equal(t, tc.want, c.Resource.Noverify)
		})
	}
}

func TestExecNamesTheIMP(t *testing.T) {
	users := func(mc *v1alpha2.MiniCluster) { mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada"}} }
	for name, tc := range map[string]struct {
		mc   *v1alpha2.MiniCluster
		p    Params
		want *Exec
	}{
		"one user":        {cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "/usr"})), Params{}, nil},
		"users":           {cluster(withFlux(v1alpha2.FluxSpec{InstallRoot: "/opt/f"}), users), Params{}, &Exec{IMP: "/opt/f/libexec/flux/flux-imp"}},
		"recorded layout": {cluster(users), Params{Layout: LayoutSystem}, &Exec{IMP: "/usr/libexec/flux/flux-imp"}},
		"view":            {cluster(users), Params{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := BrokerConfig(tc.mc, tc.p)
			require.NoError(t, err)
			assert.Equal(t, tc.want, c.Exec)
		})
	}
}

func BenchmarkBrokerTOML(b *testing.B) {
	mc := shapes()["view-big"]
	for b.Loop() {
		if _, err := BrokerTOML(mc, Params{}); err != nil {
			b.Fatal(err)
		}
	}
}
