package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// TestFieldsThatAnotherReplaces checks that no field is replaced silently by another one.
func TestFieldsThatAnotherReplaces(t *testing.T) {
	const volume = "spec.containers[0].volumes[a]."
	ofVolume := func(v v1alpha2.ContainerVolume) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"a": v}
		}
	}
	ofView := func(v v1alpha2.FluxContainer) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &v} }
	}
	for name, tc := range map[string]struct {
		set  func(*v1alpha2.MiniCluster)
		want []string
	}{
		"a claim and a directory of the node": {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ClaimName: "c", HostPath: "/h"}), []string{volume + "claimName"}},
		"all sources": {
			ofVolume(v1alpha2.ContainerVolume{Path: "/a", ClaimName: "c", ConfigMapName: "m", HostPath: "/h", EmptyDir: true, SecretName: "s", CSIDriver: "d"}),
			[]string{volume + "secretName", volume + "emptyDir", volume + "hostPath", volume + "configMapName", volume + "claimName"},
		},
		"items of a Secret":       {ofVolume(v1alpha2.ContainerVolume{Path: "/a", SecretName: "s", Items: map[string]string{"a": "b"}}), []string{volume + "items"}},
		"items of a claim":        {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ClaimName: "s", Items: map[string]string{"a": "b"}}), []string{volume + "items"}},
		"items of a ConfigMap":    {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ConfigMapName: "s", Items: map[string]string{"a": "b"}}), nil},
		"memory of a claim":       {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ClaimName: "s", EmptyDirMedium: "memory"}), []string{volume + "emptyDirMedium"}},
		"size of a ConfigMap":     {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ConfigMapName: "s", EmptyDirSizeLimit: "1Gi"}), []string{volume + "emptyDirSizeLimit"}},
		"memory alone":            {ofVolume(v1alpha2.ContainerVolume{Path: "/a", EmptyDirMedium: "memory", EmptyDirSizeLimit: "1Gi"}), nil},
		"attributes of no driver": {ofVolume(v1alpha2.ContainerVolume{Path: "/a", ClaimName: "c", CSIDriverAttributes: map[string]string{"a": "b"}}), []string{volume + "csiDriverAttributes"}},
		"existing volumes": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].ExistingVolumes = map[string]v1alpha2.ExistingVolume{
				"a": {Path: "/a", ClaimName: "c", SecretName: "s"}, "b": {Path: "/b", ConfigMapName: "m", ClaimName: "c"}, "c": {Path: "/c", ClaimName: "c"},
			}
		}, []string{"spec.containers[0].existingVolumes[a].claimName", "spec.containers[0].existingVolumes[b].claimName"}},
		"a volume of a service": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "s", Volumes: map[string]v1alpha2.ContainerVolume{"a": {Path: "/a", ClaimName: "c", ConfigMapName: "m"}}}}
		}, []string{"spec.services[0].volumes[a].claimName"}},
		"a variable of a Secret": {func(mc *v1alpha2.MiniCluster) {
			c := &mc.Spec.Containers[0]
			c.Environment, c.Secrets = map[string]string{"A": "a", "B": "b"}, map[string]v1alpha2.SecretKey{"A": {Name: "s", Key: "k"}}
		}, []string{"spec.containers[0].environment[A]"}},
		"a pull policy": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].PullAlways, mc.Spec.Containers[0].ImagePullPolicy = true, corev1.PullNever
		}, []string{"spec.containers[0].imagePullPolicy"}},
		"the same pull policy": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].PullAlways, mc.Spec.Containers[0].ImagePullPolicy = true, corev1.PullAlways
		}, nil},
		"a name":         {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Name = "main" }, []string{"spec.containers[0].name"}},
		"the name":       {func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Name = mc.Name }, nil},
		"no view":        {ofView(v1alpha2.FluxContainer{Disable: true, Image: "flux", PullAlways: true}), []string{"spec.flux.container.image", "spec.flux.container.pullAlways"}},
		"no view at all": {ofView(v1alpha2.FluxContainer{Disable: true, Image: v1alpha2.DefaultViewImage, MountPath: "/opt/view", PythonPath: "/a"}), nil},
		"another view":   {ofView(v1alpha2.FluxContainer{Image: "flux", PullAlways: true}), nil},
		"policy of Fluxion": {func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Flux = &v1alpha2.FluxSpec{Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: "easy", Simple: true}}
		}, []string{"spec.flux.scheduler.queuePolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.set)
			var fields []string
			for _, line := range IneffectiveFields(mc, NewFixed(mc), Environment{}) {
				field, _, _ := strings.Cut(line, ": ")
				fields = append(fields, field)
			}
			assert.Equal(t, tc.want, fields)
		})
	}
}
