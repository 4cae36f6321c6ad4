package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// edit changes the valid MiniCluster of a test.
type edit func(*v1alpha2.MiniCluster)

func cluster(edits ...edit) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "flux-sample", Namespace: "default"},
		Spec: v1alpha2.MiniClusterSpec{
			Size:       new(int32(4)),
			Containers: []v1alpha2.MiniClusterContainer{{Image: "busybox", Command: "hostname"}},
		},
	}
	for _, e := range edits {
		e(mc)
	}
	return mc
}

func spec(change func(*v1alpha2.MiniClusterSpec)) edit {
	return func(mc *v1alpha2.MiniCluster) { change(&mc.Spec) }
}

func container(change func(*v1alpha2.MiniClusterContainer)) edit {
	return func(mc *v1alpha2.MiniCluster) { change(&mc.Spec.Containers[0]) }
}

// sidecar adds a second container; the first one runs Flux.
func sidecar(c v1alpha2.MiniClusterContainer) edit {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers, c)
	}
}

func service(c v1alpha2.MiniClusterContainer) edit {
	return spec(func(s *v1alpha2.MiniClusterSpec) { s.Services = append(s.Services, c) })
}

func flux(f v1alpha2.FluxSpec) edit {
	return spec(func(s *v1alpha2.MiniClusterSpec) { s.Flux = &f })
}

func pod(p v1alpha2.PodSpec) edit {
	return spec(func(s *v1alpha2.MiniClusterSpec) { s.Pod = &p })
}

func clusterVolume(name string, v v1alpha2.MiniClusterVolume) edit {
	return spec(func(s *v1alpha2.MiniClusterSpec) { s.Volumes = map[string]v1alpha2.MiniClusterVolume{name: v} })
}

func volumes(v map[string]v1alpha2.ContainerVolume) edit {
	return container(func(c *v1alpha2.MiniClusterContainer) { c.Volumes = v })
}

func existing(v map[string]v1alpha2.ExistingVolume) edit {
	return container(func(c *v1alpha2.MiniClusterContainer) { c.ExistingVolumes = v })
}

func named(name string) edit {
	return func(mc *v1alpha2.MiniCluster) { mc.Name = name }
}

type testCase struct {
	name string
	edit edit
	// fields are the fields with errors, in their order; none: it is valid.
	fields []string
	// says is a part of the message.
	says string
}

func run(t *testing.T, cases []testCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			errs := ValidateMiniCluster(cluster(c.edit))
			assert.Equal(t, c.fields, fieldsOf(errs), "%v", errs.ToAggregate())
			if c.says != "" {
				require.NotEmpty(t, errs)
				assert.Contains(t, errs.ToAggregate().Error(), c.says)
			}
		})
	}
}

func fieldsOf(errs field.ErrorList) []string {
	var fields []string
	for _, err := range errs {
		fields = append(fields, err.Field)
	}
	return fields
}

func TestValidateName(t *testing.T) {
	run(t, []testCase{
		{name: "valid", edit: named("a")},
		{name: "none", edit: named(""), fields: []string{"metadata.name"}},
		{name: "not a label", edit: named("flux.sample"), fields: []string{"metadata.name"}, says: "DNS-1035"},
		{name: "starts with a digit", edit: named("1flux"), fields: []string{"metadata.name"}, says: "DNS-1035"},
		{name: "upper case", edit: named("Flux"), fields: []string{"metadata.name"}},
		{name: "longest", edit: named(strings.Repeat("a", 61))},
		{name: "too long with the index", edit: named(strings.Repeat("a", 62)), fields: []string{"metadata.name"}, says: "shorten the name to 61 characters"},
		{name: "too long at its maximum", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Name, mc.Spec.MaxSize = strings.Repeat("a", 60), 101
		}, fields: []string{"metadata.name"}, says: "ends with -100"},
		{name: "longest at its maximum", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Name, mc.Spec.MaxSize = strings.Repeat("a", 60), 100
		}},
		{name: "too long with services", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Name, mc.Spec.Services = strings.Repeat("a", 55), []v1alpha2.MiniClusterContainer{{Name: "b"}}
		}, fields: []string{"metadata.name"}, says: "-services"},
		{name: "generated", edit: func(mc *v1alpha2.MiniCluster) { mc.Name, mc.GenerateName = "", "flux-" }},
		{name: "generated from a wrong prefix", edit: func(mc *v1alpha2.MiniCluster) { mc.Name, mc.GenerateName = "", "flux_" },
			fields: []string{"metadata.generateName"}},
		{name: "generated is too long", edit: func(mc *v1alpha2.MiniCluster) { mc.Name, mc.GenerateName = "", strings.Repeat("a", 70) },
			fields: []string{"metadata.generateName"}},
	})
}

func TestValidateNumbers(t *testing.T) {
	sizes := func(size, maxSize, minSize int32) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MaxSize, s.MinSize = &size, maxSize, minSize })
	}
	run(t, []testCase{
		{name: "size alone", edit: sizes(3, 0, 0)},
		{name: "size unset", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size = nil })},
		{name: "size 0 is for the controller to correct", edit: sizes(0, 0, 0)},
		{name: "all equal", edit: sizes(3, 3, 3)},
		{name: "maxSize below size", edit: sizes(4, 3, 0), fields: []string{"spec.maxSize"}, says: "must not be less than spec.size, 4"},
		{name: "minSize is the default of size", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MinSize = nil, 2 })},
		{name: "minSize and maxSize without size", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MinSize, s.MaxSize = nil, 2, 6 })},
		{name: "maxSize below the default of size", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MinSize, s.MaxSize = nil, 3, 2 }),
			fields: []string{"spec.maxSize"}, says: "must not be less than spec.minSize, 3"},
		{name: "the largest sizes", edit: sizes(100_000, 100_000, 100_000)},
		{name: "more indexes than a Job may have", edit: sizes(2, 200_000, 0), fields: []string{"spec.maxSize"}, says: "largest parallelism of an Indexed Job"},
		{name: "too large sizes", edit: sizes(100_001, 100_001, 100_001), fields: []string{"spec.size", "spec.maxSize", "spec.minSize"}},
		{name: "the largest deadline", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.DeadlineSeconds = new(int64(9223372036)) })},
		{name: "a deadline that overflows", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.DeadlineSeconds = new(int64(9223372037)) }),
			fields: []string{"spec.deadlineSeconds"}, says: "at most 9223372036"},
		{name: "unreachable agents", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.ScaleDown = &v1alpha2.ScaleDown{OnUnreachable: v1alpha2.OnUnreachableWait}
		})},
		{name: "unknown choice for unreachable agents", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.ScaleDown = &v1alpha2.ScaleDown{OnUnreachable: "Hope"} }),
			fields: []string{"spec.scaleDown.onUnreachable"}, says: "Proceed"},
		{name: "minSize above size", edit: sizes(3, 8, 4), fields: []string{"spec.minSize"}, says: "must not be more than spec.size, 3"},
		{name: "minSize above maxSize", edit: sizes(3, 2, 4), fields: []string{"spec.maxSize", "spec.minSize"}},
		{name: "negative sizes", edit: sizes(-1, -2, -3), fields: []string{"spec.size", "spec.maxSize", "spec.minSize"}, says: "must not be negative"},
		{name: "negative numbers", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Tasks, s.DeadlineSeconds, s.BackoffLimit = new(int32(-1)), new(int64(-1)), new(int32(-1))
			s.ScaleDown = &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(-1))}
			s.Containers[0].Cores = -1
			s.Archive = &v1alpha2.FluxArchive{Path: "/state/a", PeriodSeconds: -1}
		}), fields: []string{
			"spec.tasks", "spec.deadlineSeconds", "spec.backoffLimit", "spec.scaleDown.drainTimeoutSeconds",
			"spec.containers[0].cores", "spec.archive.periodSeconds",
		}},
		{name: "zeros", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Tasks, s.DeadlineSeconds, s.BackoffLimit = new(int32(0)), new(int64(0)), new(int32(0))
			s.ScaleDown = &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(0))}
		})},
		{name: "job records without an archive", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Archive = &v1alpha2.FluxArchive{JobRecords: "/state/jobs.jsonl"}
		}), fields: []string{"spec.archive.path"}},
		{name: "archive without a path", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Archive = &v1alpha2.FluxArchive{PeriodSeconds: 60}
		}), fields: []string{"spec.archive.path"}},
	})
}

func TestValidateUpdate(t *testing.T) {
	cases := []struct {
		name   string
		edit   edit
		fields []string
	}{
		{name: "valid", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.MinSize = 4 })},
		{name: "sizes are corrected, not rejected", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MaxSize = new(int32(9)), 2 })},
		{name: "other fields no longer have an effect", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Containers = nil })},
		{name: "a reserve that can't be read", edit: leaves("cpu", "-5"), fields: []string{"spec.opportunistic.reserve[cpu]"}},
		{name: "minSize above the maximum", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.MinSize = 5 }), fields: []string{"spec.minSize"}},
		{name: "negative", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.MinSize, s.ScaleDown = -1, &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(-1))}
		}), fields: []string{"spec.minSize", "spec.scaleDown.drainTimeoutSeconds"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.fields, fieldsOf(ValidateMiniClusterUpdate(cluster(c.edit), 4)))
		})
	}
}

func TestValidateContainers(t *testing.T) {
	run(t, []testCase{
		{name: "none", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Containers = nil }), fields: []string{"spec.containers"}},
		{name: "a single container does not need runFlux", edit: container(func(c *v1alpha2.MiniClusterContainer) { c.RunFlux = false })},
		{name: "a sidecar", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "nginx"})},
		{name: "no container runs Flux", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.Containers = []v1alpha2.MiniClusterContainer{{Name: "a"}, {Name: "b"}}
		}), fields: []string{"spec.containers"}, says: "set runFlux to true in one of them"},
		{name: "two containers run Flux", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "b", RunFlux: true}), fields: []string{"spec.containers[1].runFlux"}},
		{name: "sidecar without a name", edit: sidecar(v1alpha2.MiniClusterContainer{}), fields: []string{"spec.containers[1].name"}},
		{name: "sidecar's name is not a label", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "a_b"}), fields: []string{"spec.containers[1].name"}},
		{name: "sidecar has the cluster's name", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "flux-sample"}),
			fields: []string{"spec.containers[1].name"}, says: "named after the MiniCluster"},
		{name: "sidecar has the view's name", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "flux-view"}),
			fields: []string{"spec.containers[1].name"}, says: "spec.flux.container.name"},
		{name: "the system layout has no view", edit: func(mc *v1alpha2.MiniCluster) {
			sidecar(v1alpha2.MiniClusterContainer{Name: "flux-view"})(mc)
			mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
		}},
		{name: "the name of the Flux container does not matter", edit: func(mc *v1alpha2.MiniCluster) {
			sidecar(v1alpha2.MiniClusterContainer{Name: "b"})(mc)
			mc.Spec.Containers[0].Name = "b"
		}},
		{name: "two sidecars with the same name", edit: func(mc *v1alpha2.MiniCluster) {
			sidecar(v1alpha2.MiniClusterContainer{Name: "b"})(mc)
			sidecar(v1alpha2.MiniClusterContainer{Name: "b"})(mc)
		}, fields: []string{"spec.containers[2].name"}},
		{name: "launcher and batch", edit: container(func(c *v1alpha2.MiniClusterContainer) { c.Launcher, c.Batch = true, true }),
			fields: []string{"spec.containers[0].launcher"}, says: "remove one of them"},
		{name: "command and script", edit: container(func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Script: "true"}
		}), fields: []string{"spec.containers[0].commands.script"}},
		{name: "command and script of a sidecar", edit: sidecar(v1alpha2.MiniClusterContainer{
			Name: "b", Command: "a", Commands: &v1alpha2.Commands{Script: "b"},
		})},
		{name: "ports of the Flux container may repeat", edit: container(func(c *v1alpha2.MiniClusterContainer) { c.Ports = []int32{5000, 5000} })},
		{name: "ports out of range", edit: container(func(c *v1alpha2.MiniClusterContainer) { c.Ports = []int32{0, 65536} }),
			fields: []string{"spec.containers[0].ports[0]", "spec.containers[0].ports[1]"}},
		{name: "a sidecar's Service has each port once", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "b", Ports: []int32{80, 80}}),
			fields: []string{"spec.containers[1].ports[1]"}},
		{name: "a sidecar's Service needs a name", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "1b", Ports: []int32{80}}),
			fields: []string{"spec.containers[1].name"}},
		{name: "without ports the name may start with a digit", edit: sidecar(v1alpha2.MiniClusterContainer{Name: "1b"})},
	})
}

func TestValidateContainer(t *testing.T) {
	quantities := func(list ...string) corev1.ResourceList {
		out := corev1.ResourceList{}
		for i := 0; i < len(list); i += 2 {
			out[corev1.ResourceName(list[i])] = resource.MustParse(list[i+1])
		}
		return out
	}
	in := container
	run(t, []testCase{
		{name: "image with a blank", edit: in(func(c *v1alpha2.MiniClusterContainer) { c.Image = "busybox " }), fields: []string{"spec.containers[0].image"}},
		{name: "pull policy", edit: in(func(c *v1alpha2.MiniClusterContainer) { c.ImagePullPolicy = "Sometimes" }), fields: []string{"spec.containers[0].imagePullPolicy"}},
		{name: "pull secret", edit: in(func(c *v1alpha2.MiniClusterContainer) { c.ImagePullSecret = "A b" }), fields: []string{"spec.containers[0].imagePullSecret"}},
		{name: "environment", edit: in(func(c *v1alpha2.MiniClusterContainer) {
			c.Environment = map[string]string{"GOOD": "", "my.name-2": "", "a=b": "", "": ""}
		}), fields: []string{"spec.containers[0].environment[]", "spec.containers[0].environment[a=b]"}},
		{name: "secrets", edit: in(func(c *v1alpha2.MiniClusterContainer) {
			c.Secrets = map[string]v1alpha2.SecretKey{"GOOD": {Name: "a", Key: "b"}, "NONE": {}, "x=": {Name: "A", Key: "b/c"}}
		}), fields: []string{
			"spec.containers[0].secrets[NONE].name", "spec.containers[0].secrets[NONE].key",
			"spec.containers[0].secrets[x=]", "spec.containers[0].secrets[x=].name", "spec.containers[0].secrets[x=].key",
		}},
		{name: "resources", edit: in(func(c *v1alpha2.MiniClusterContainer) {
			c.Resources = &corev1.ResourceRequirements{
				Limits:   quantities("cpu", "1", "memory", "1Gi", "vendor.example/gpu", "1"),
				Requests: quantities("cpu", "2", "memory", "1Gi"),
			}
		}), fields: []string{"spec.containers[0].resources.requests[cpu]"}, says: "must not be more than the limit, 1"},
		{name: "negative resources", edit: in(func(c *v1alpha2.MiniClusterContainer) {
			c.Resources = &corev1.ResourceRequirements{Limits: quantities("cpu", "-1"), Requests: quantities("memory", "-1")}
		}), fields: []string{"spec.containers[0].resources.limits[cpu]", "spec.containers[0].resources.requests[memory]"}},
		{name: "flux user", edit: in(func(c *v1alpha2.MiniClusterContainer) {
			c.FluxUser = &v1alpha2.FluxUser{Name: "a:b", UID: new(int64(-1))}
		}), fields: []string{"spec.containers[0].fluxUser.uid", "spec.containers[0].fluxUser.name"}},
	})
}

func TestValidateServices(t *testing.T) {
	run(t, []testCase{
		{name: "valid", edit: service(v1alpha2.MiniClusterContainer{Name: "registry", Command: "x", Commands: &v1alpha2.Commands{Init: "a"}})},
		{name: "may have the cluster's name", edit: service(v1alpha2.MiniClusterContainer{Name: "flux-sample"})},
		{name: "no name", edit: service(v1alpha2.MiniClusterContainer{}), fields: []string{"spec.services[0].name"}},
		{name: "same name", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "a"}, {Name: "a"}}
		}, fields: []string{"spec.services[1].name"}},
		{name: "hooks of Flux", edit: service(v1alpha2.MiniClusterContainer{
			Name: "a", PreCommand: "x", Commands: &v1alpha2.Commands{Pre: "x", BrokerPre: "x", WorkerPre: "x"},
		}), fields: []string{
			"spec.services[0].preCommand", "spec.services[0].commands.brokerPre", "spec.services[0].commands.pre", "spec.services[0].commands.workerPre",
		}, says: "remove it"},
		{name: "fields of all containers", edit: service(v1alpha2.MiniClusterContainer{Name: "a", Ports: []int32{0}}), fields: []string{"spec.services[0].ports[0]"}},
		{name: "volumes", edit: service(v1alpha2.MiniClusterContainer{Name: "a", Volumes: map[string]v1alpha2.ContainerVolume{"a_b": {Path: "/data"}}}),
			fields: []string{"spec.services[0].volumes[a_b]"}},
	})
}

func TestValidateUsers(t *testing.T) {
	users := func(u ...v1alpha2.MiniClusterUser) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Users = u })
	}
	run(t, []testCase{
		{name: "valid", edit: users(v1alpha2.MiniClusterUser{Name: "peenut", Password: "butter12"}, v1alpha2.MiniClusterUser{Name: "treenut"})},
		{name: "no name", edit: users(v1alpha2.MiniClusterUser{}), fields: []string{"spec.users[0].name"}},
		{name: "same name", edit: users(v1alpha2.MiniClusterUser{Name: "a"}, v1alpha2.MiniClusterUser{Name: "a"}), fields: []string{"spec.users[1].name"}},
		{name: "long password", edit: users(v1alpha2.MiniClusterUser{Name: "a", Password: "hunter2hunter2"}), fields: []string{"spec.users[0].password"}, says: "at most 8"},
	})
}

func TestErrorsDoNotTellSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	errs := ValidateMiniCluster(cluster(
		spec(func(s *v1alpha2.MiniClusterSpec) { s.Users = []v1alpha2.MiniClusterUser{{Name: "a", Password: secret}} }),
		flux(v1alpha2.FluxSpec{CurveCert: "curve\n    secret-key = \"" + secret + "\"\n"}),
	))
	assert.Equal(t, []string{"spec.users[0].password", "spec.flux.curveCert"}, fieldsOf(errs))
	assert.NotContains(t, errs.ToAggregate().Error(), secret)
}
