package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// TestFilesThatAreLost checks where an archive is: a hibernation that loses it loses all jobs.
func TestFilesThatAreLost(t *testing.T) {
	type volumes = map[string]v1alpha2.ContainerVolume
	for name, tc := range map[string]struct {
		path    string
		volumes volumes
		want    string
	}{
		"no volume":         {path: "/tmp/archive.tar", want: "is not on a volume"},
		"another volume":    {path: "/data2/archive.tar", volumes: volumes{"a": {Path: "/data", ClaimName: "a"}}, want: "is not on a volume"},
		"a claim":           {path: "/data/x/archive.tar", volumes: volumes{"a": {Path: "/data/", ClaimName: "a"}}},
		"a node":            {path: "/data/archive.tar", volumes: volumes{"a": {Path: "/data", HostPath: "/data"}}},
		"an empty volume":   {path: "/data/archive.tar", volumes: volumes{"a": {Path: "/data", EmptyDir: true}}, want: "is on an empty directory"},
		"memory in a claim": {path: "/data/tmp/a.tar", volumes: volumes{"a": {Path: "/data", ClaimName: "a"}, "b": {Path: "/data/tmp", EmptyDir: true}}, want: "is on an empty directory"},
		"a claim in memory": {path: "/data/keep/a.tar", volumes: volumes{"a": {Path: "/data/keep", ClaimName: "a"}, "b": {Path: "/data", EmptyDir: true}}},
		"read-only":         {path: "/data/a.tar", volumes: volumes{"a": {Path: "/data", ClaimName: "a", ReadOnly: true}}, want: "is on the volume a, which cannot be written"},
		"a Secret":          {path: "/data/a.tar", volumes: volumes{"a": {Path: "/data", SecretName: "a"}}, want: "is on the volume a, which cannot be written"},
		"relative":          {path: "data/a.tar", want: `"data/a.tar" is not absolute`},
		"a directory":       {path: "/data/", volumes: volumes{"a": {Path: "/data", ClaimName: "a"}}, want: `"/data/" is a directory`},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Archive = &v1alpha2.FluxArchive{Path: tc.path}
				mc.Spec.Containers[0].Volumes = tc.volumes
			})
			if tc.want != "" {
				tc.want = "spec.archive.path: " + tc.want
			}
			requireWarning(t, mc, tc.want)
		})
	}
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/data/a.tar", JobRecords: "/var/log/jobs"}
		mc.Spec.Containers[0].ExistingVolumes = map[string]v1alpha2.ExistingVolume{"a": {Path: "/data", ClaimName: "a"}}
	})
	requireWarning(t, mc, "spec.archive.jobRecords: is not on a volume")
}

// TestSettingsThatNoRuntimeStarts tries settings that the API server accepts.
func TestSettingsThatNoRuntimeStarts(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*v1alpha2.MiniCluster)
		want string
	}{
		"a relative directory": {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].WorkingDir = "data" }, `spec.containers[0].workingDir: "data" is not absolute`},
		"of a sidecar": {func(mc *v1alpha2.MiniCluster) { withSidecars(mc); mc.Spec.Containers[1].WorkingDir = "./data" },
			`spec.containers[1].workingDir: "./data" is not absolute`},
		"of the view": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{WorkingDir: "data"}}
		}, `spec.flux.container.workingDir: "data"`},
		"an image of the view": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{Image: "Flux:latest"}}
		}, `spec.flux.container.image: "Flux:latest"`},
		"an image of a service": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "a", Image: "a b"}}
		}, `spec.services[0].image: "a b"`},
		"two volumes at one place": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"a": {Path: "/data", ClaimName: "a"}, "b": {Path: "/data/", ClaimName: "b"}}
		}, "spec.containers[0].volumes[b]: hides the volume a"},
		"a directory of no node": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"a": {Path: "/data", HostPath: "data"}}
		}, `spec.containers[0].volumes[a].hostPath: "data" is not absolute`},
		"a volume on no node": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"a": {Path: "data", StorageClass: "hostpath"}, "b": {Path: "data", StorageClass: "csi"}}
		}, `spec.volumes[a].path: "data" is not absolute`},
		"a wrapper with blanks": {func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{Wrap: "strace -f"} }, "spec.flux.wrap: contains blanks"},
		"a wrapper":             {func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{Wrap: "strace,-f"} }, ""},
		"shared memory as volume": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"a": {Path: "/s", EmptyDirMedium: "memory"}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) { requireWarning(t, sample.MiniCluster(tc.set), tc.want) })
	}
}

func TestNamesOfImages(t *testing.T) {
	for _, image := range []string{
		"ubuntu", "ubuntu:24.04", "localhost:5000/flux-view-rocky:tag-9", "ghcr.io/flux-framework/flux-operator:latest", "library/a__b/c.d-e--f",
		"x@sha256:" + strings.Repeat("0a", 32), "registry.example.com:443/a/b:v1@sha256:" + strings.Repeat("0a", 32), "REGISTRY.example.com/a", "[fd00::1]:5000/a",
	} {
		assert.True(t, imageReference.MatchString(image), image)
	}
	for _, image := range []string{
		"Ubuntu", "ubuntu:", "ubuntu:a:b", "https://ghcr.io/a", "docker://ubuntu", "a b", "ubuntu\u200b", "a//b", "-a", "a:-b", "a@sha256:12", "${IMAGE}", "a:" + strings.Repeat("x", 129),
	} {
		assert.False(t, imageReference.MatchString(image), image)
	}
}
