package validation

import (
	"strings"
	"testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestValidateClusterVolumes(t *testing.T) {
	csi := func(change func(*v1alpha2.MiniClusterVolume)) edit {
		v := v1alpha2.MiniClusterVolume{Path: "/x", StorageClass: "csi-gcs", Driver: "gcs.csi.ofek.dev", Secret: "csi-gcs-secret", SecretNamespace: "default"}
		change(&v)
		return clusterVolume("data", v)
	}
	run(t, []testCase{
		{name: "a directory of the node", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/tmp/data"})},
		{name: "named class", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/tmp/data", StorageClass: "hostpath", Capacity: "5Gi"})},
		{name: "no path", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{}), fields: []string{"spec.volumes[data].path"}},
		{name: "path with ..", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/a/../b"}), fields: []string{"spec.volumes[data].path"}},
		{name: "name", edit: clusterVolume("my_data", v1alpha2.MiniClusterVolume{Path: "/a"}), fields: []string{"spec.volumes[my_data]"}},
		{name: "capacity is not a quantity", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/a", Capacity: "5 GB"}), fields: []string{"spec.volumes[data].capacity"}, says: "for example 5Gi"},
		{name: "capacity of nothing", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/a", Capacity: "0"}), fields: []string{"spec.volumes[data].capacity"}},
		{name: "labels and annotations", edit: clusterVolume("data", v1alpha2.MiniClusterVolume{
			Path: "/a", Labels: map[string]string{"a b": ""}, Annotations: map[string]string{"a b": ""}, ClaimAnnotations: map[string]string{"a b": ""},
		}), fields: []string{"spec.volumes[data].labels", "spec.volumes[data].annotations", "spec.volumes[data].claimAnnotations"}},
		{name: "CSI", edit: csi(func(*v1alpha2.MiniClusterVolume) {})},
		{name: "CSI needs no path", edit: csi(func(v *v1alpha2.MiniClusterVolume) { v.Path = "" })},
		{name: "CSI without secret", edit: csi(func(v *v1alpha2.MiniClusterVolume) { v.Secret = "" }), fields: []string{"spec.volumes[data].secret"}},
		{name: "CSI without driver", edit: csi(func(v *v1alpha2.MiniClusterVolume) { v.Driver = "" }), fields: []string{"spec.volumes[data].driver"}},
		{name: "CSI with wrong names", edit: csi(func(v *v1alpha2.MiniClusterVolume) {
			v.StorageClass, v.Driver, v.Secret, v.SecretNamespace = "A b", strings.Repeat("a", 64), "A b", "a.b"
		}), fields: []string{"spec.volumes[data].storageClass", "spec.volumes[data].driver", "spec.volumes[data].secret", "spec.volumes[data].secretNamespace"}},
	})
}

func TestValidateVolumes(t *testing.T) {
	one := func(v v1alpha2.ContainerVolume) edit { return volumes(map[string]v1alpha2.ContainerVolume{"data": v}) }
	data := clusterVolume("data", v1alpha2.MiniClusterVolume{Path: "/tmp/data"})
	both := func(edits ...edit) edit {
		return func(mc *v1alpha2.MiniCluster) {
			for _, e := range edits {
				e(mc)
			}
		}
	}
	run(t, []testCase{
		{name: "of spec.volumes", edit: both(data, one(v1alpha2.ContainerVolume{Path: "/data"}))},
		{name: "of spec.volumes without a path", edit: both(data, one(v1alpha2.ContainerVolume{})), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "an empty directory", edit: one(v1alpha2.ContainerVolume{Path: "/data"})},
		{name: "of no spec.volumes", edit: both(flux(v1alpha2.FluxSpec{InstallRoot: "/usr"}), one(v1alpha2.ContainerVolume{Path: "/data"})), fields: []string{"spec.containers[0].volumes[data]"}, says: "add it to spec.volumes"},
		{name: "described twice", edit: both(data, one(v1alpha2.ContainerVolume{Path: "/data", ClaimName: "a"})),
			fields: []string{"spec.containers[0].volumes[data]"}, says: "volume of spec.volumes, too"},
		{name: "name", edit: volumes(map[string]v1alpha2.ContainerVolume{"my_data": {Path: "/data", ClaimName: "a"}}), fields: []string{"spec.containers[0].volumes[my_data]"}},
		{name: "claim", edit: one(v1alpha2.ContainerVolume{Path: "/data", ClaimName: "a"})},
		{name: "at the root", edit: one(v1alpha2.ContainerVolume{Path: "/", ClaimName: "a"}), fields: []string{"spec.containers[0].volumes[data].path"}, says: "choose another directory"},
		{name: "at the root, with dots", edit: one(v1alpha2.ContainerVolume{Path: "/x/..", ClaimName: "a"}), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "claim without a path", edit: one(v1alpha2.ContainerVolume{ClaimName: "a"}), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "directory of the node", edit: one(v1alpha2.ContainerVolume{Path: "/data", HostPath: "/a"})},
		{name: "directory of the node without a path", edit: one(v1alpha2.ContainerVolume{HostPath: "/a"}), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "directory of the node with ..", edit: one(v1alpha2.ContainerVolume{Path: "/data", HostPath: "/a/.."}), fields: []string{"spec.containers[0].volumes[data].hostPath"}},
		{name: "config map", edit: one(v1alpha2.ContainerVolume{Path: "/data", ConfigMapName: "a", Items: map[string]string{"key": "sub/file"}})},
		{name: "items", edit: one(v1alpha2.ContainerVolume{Path: "/data", ConfigMapName: "a", Items: map[string]string{"a/b": "c", "d": "/e", "f": "../g"}}),
			fields: []string{"spec.containers[0].volumes[data].items[a/b]", "spec.containers[0].volumes[data].items[d]", "spec.containers[0].volumes[data].items[f]"}},
		{name: "wrong names", edit: one(v1alpha2.ContainerVolume{Path: "/data", ConfigMapName: "A b", ClaimName: "A b", SecretName: "A b", CSIDriver: "a b"}),
			fields: []string{
				"spec.containers[0].volumes[data].claimName", "spec.containers[0].volumes[data].configMapName",
				"spec.containers[0].volumes[data].secretName", "spec.containers[0].volumes[data].csiDriver",
			}},
		{name: "secret without a path", edit: one(v1alpha2.ContainerVolume{SecretName: "a"}), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "empty directory is shared memory", edit: one(v1alpha2.ContainerVolume{EmptyDir: true, EmptyDirMedium: "memory", EmptyDirSizeLimit: "64Gi"})},
		{name: "empty directory, wrong", edit: one(v1alpha2.ContainerVolume{EmptyDir: true, EmptyDirMedium: "tape", EmptyDirSizeLimit: "lots"}),
			fields: []string{"spec.containers[0].volumes[data].emptyDirMedium", "spec.containers[0].volumes[data].emptyDirSizeLimit"}},
		{name: "same path", edit: volumes(map[string]v1alpha2.ContainerVolume{"a": {Path: "/data", ClaimName: "a"}, "b": {Path: "/data", ClaimName: "b"}}),
			fields: []string{"spec.containers[0].volumes[b].path"}},
		{name: "colon in a path", edit: one(v1alpha2.ContainerVolume{Path: "/a:b", ClaimName: "a"}), fields: []string{"spec.containers[0].volumes[data].path"}},
		{name: "a sidecar mounts what the first container describes", edit: both(
			one(v1alpha2.ContainerVolume{Path: "/data", ClaimName: "a"}),
			sidecar(v1alpha2.MiniClusterContainer{Name: "b", Volumes: map[string]v1alpha2.ContainerVolume{"data": {Path: "/elsewhere"}}}),
		)},
		{name: "a sidecar describes the same volume", edit: both(
			one(v1alpha2.ContainerVolume{Path: "/data", ClaimName: "a"}),
			sidecar(v1alpha2.MiniClusterContainer{Name: "b", Volumes: map[string]v1alpha2.ContainerVolume{"data": {Path: "/elsewhere", ClaimName: "a"}}}),
		)},
		{name: "a sidecar describes another volume", edit: both(
			one(v1alpha2.ContainerVolume{Path: "/data", ClaimName: "a"}),
			sidecar(v1alpha2.MiniClusterContainer{Name: "b", Volumes: map[string]v1alpha2.ContainerVolume{"data": {Path: "/data", ClaimName: "b"}}}),
		), fields: []string{"spec.containers[1].volumes[data]"}, says: "spec.containers[0].volumes[data]"},
	})
}

func TestValidateExistingVolumes(t *testing.T) {
	one := func(v v1alpha2.ExistingVolume) edit { return existing(map[string]v1alpha2.ExistingVolume{"data": v}) }
	run(t, []testCase{
		{name: "claim", edit: one(v1alpha2.ExistingVolume{Path: "/data", ClaimName: "a"})},
		{name: "secret", edit: one(v1alpha2.ExistingVolume{Path: "/data", SecretName: "a"})},
		{name: "config map", edit: one(v1alpha2.ExistingVolume{Path: "/data", ConfigMapName: "a"})},
		{name: "claim without a path", edit: one(v1alpha2.ExistingVolume{ClaimName: "a"}), fields: []string{"spec.containers[0].existingVolumes[data].path"}},
		{name: "path without a claim", edit: one(v1alpha2.ExistingVolume{Path: "/data"}), fields: []string{"spec.containers[0].existingVolumes[data]"}},
		{name: "name", edit: existing(map[string]v1alpha2.ExistingVolume{"a_b": {Path: "/data", ClaimName: "a"}}), fields: []string{"spec.containers[0].existingVolumes[a_b]"}},
		{name: "in volumes too", edit: func(mc *v1alpha2.MiniCluster) {
			one(v1alpha2.ExistingVolume{Path: "/data", ClaimName: "a"})(mc)
			volumes(map[string]v1alpha2.ContainerVolume{"data": {Path: "/other"}})(mc)
		}, fields: []string{"spec.containers[0].existingVolumes[data]"}},
		{name: "at the same path", edit: func(mc *v1alpha2.MiniCluster) {
			one(v1alpha2.ExistingVolume{Path: "/data", ClaimName: "a"})(mc)
			volumes(map[string]v1alpha2.ContainerVolume{"other": {Path: "/data", ClaimName: "b"}})(mc)
		}, fields: []string{"spec.containers[0].existingVolumes[data].path"}},
	})
}

// Users cannot use the names and directories of the controller's volumes, except for optional ones.
func TestReservedVolumes(t *testing.T) {
	system := flux(v1alpha2.FluxSpec{InstallRoot: "/usr"})
	at := func(name, dir string, edits ...edit) edit {
		return func(mc *v1alpha2.MiniCluster) {
			volumes(map[string]v1alpha2.ContainerVolume{name: {Path: dir, ClaimName: "c"}})(mc)
			for _, e := range edits {
				e(mc)
			}
		}
	}
	const name, dir = "spec.containers[0].volumes[data]", "spec.containers[0].volumes[data].path"
	view := func(v v1alpha2.FluxContainer) edit { return flux(v1alpha2.FluxSpec{Container: &v}) }
	run(t, []testCase{
		{name: "name", edit: at("minicluster-config", "/a"), fields: []string{"spec.containers[0].volumes[minicluster-config]"}},
		{name: "reserved name", edit: at("minicluster-data", "/a")},
		{name: "name of the view", edit: at("flux-view", "/a"), fields: []string{"spec.containers[0].volumes[flux-view]"}},
		{name: "name of the view in the system layout", edit: at("flux-view", "/a", system)},
		{name: "name of another view", edit: at("data", "/a", view(v1alpha2.FluxContainer{Name: "data"})), fields: []string{name}},
		{name: "older dialect", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].ExistingVolumes = map[string]v1alpha2.ExistingVolume{"data": {Path: "/opt/minicluster", ClaimName: "c"}}
		}, fields: []string{"spec.containers[0].existingVolumes[data].path"}},
		{name: "the shared directory", edit: at("data", "/opt/minicluster/"), fields: []string{dir}, says: "choose another directory"},
		{name: "the view", edit: at("data", "/mnt/flux"), fields: []string{dir}},
		{name: "next to the view", edit: at("data", "/mnt/flux/data")},
		{name: "a view elsewhere", edit: at("data", "/mnt/flux", view(v1alpha2.FluxContainer{MountPath: "/flux"}))},
		{name: "the configuration", edit: at("data", "/etc/flux/config", system), fields: []string{dir}},
		{name: "the configuration of the other layout", edit: at("data", "/etc/flux/config")},
		{name: "the state of the system layout", edit: at("data", "/var/lib/flux", system)},
		{name: "the run directory", edit: at("data", "/run/flux", system)},
		{name: "shared memory", edit: at("data", "/dev/shm")},
		{name: "software", edit: at("data", "/opt/software")},
		{name: "no MUNGE key", edit: at("data", "/etc/munge")},
		{name: "a MUNGE key", edit: at("data", "/etc/munge", flux(v1alpha2.FluxSpec{MungeSecret: "m"})), fields: []string{dir}},
		{name: "sidecar", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].RunFlux = true
			mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{
				Name: "minicluster-agent", Image: "a", Volumes: map[string]v1alpha2.ContainerVolume{"data": {Path: "/mnt/flux", ClaimName: "c"}},
			})
		}, fields: []string{"spec.containers[1].name", "spec.containers[1].volumes[data].path"}},
		{name: "a sidecar has no certificate", edit: func(mc *v1alpha2.MiniCluster) {
			system(mc)
			mc.Spec.Containers[0].RunFlux = true
			mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{
				Name: "s", Image: "a", Volumes: map[string]v1alpha2.ContainerVolume{"data": {Path: "/etc/curve", ClaimName: "c"}},
			})
		}},
		{name: "services pod", edit: func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{
				Name: "s", Image: "a", Volumes: map[string]v1alpha2.ContainerVolume{"flux-view": {Path: "/mnt/flux", ClaimName: "c"}},
			}}
		}},
		{name: "view named like the cluster", edit: func(mc *v1alpha2.MiniCluster) {
			view(v1alpha2.FluxContainer{Name: mc.Name})(mc)
		}, fields: []string{"spec.flux.container.name"}},
		{name: "view with a reserved name", edit: view(v1alpha2.FluxContainer{Name: "minicluster-agent"}), fields: []string{"spec.flux.container.name"}},
		{name: "view over the shared memory", edit: view(v1alpha2.FluxContainer{MountPath: "/dev/shm/"}), fields: []string{"spec.flux.container.mountPath"}},
		{name: "view over the programs", edit: view(v1alpha2.FluxContainer{MountPath: "/usr/"}), fields: []string{"spec.flux.container.mountPath"}},
		{name: "view over the accounts", edit: view(v1alpha2.FluxContainer{MountPath: "/etc"}), fields: []string{"spec.flux.container.mountPath"}},
		{name: "view in the programs", edit: view(v1alpha2.FluxContainer{MountPath: "/usr/local/flux"})},
		{name: "view over the configuration", edit: view(v1alpha2.FluxContainer{MountPath: "/etc/minicluster/config"}), fields: []string{"spec.flux.container.mountPath"}},
	})
}
