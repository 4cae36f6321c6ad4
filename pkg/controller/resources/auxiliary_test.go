package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// besideEverything returns a MiniCluster with one of each object that is created in addition to a Job.
func besideEverything(mc *v1alpha2.MiniCluster) {
	everything(mc)
	mc.Spec.Containers[1].Ports = []int32{80, 443}
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{
		{
			Name: "registry", Image: "registry:2", Ports: []int32{5000}, Command: `exec registry serve "$CONFIG"`, WorkingDir: "/data", ImagePullSecret: "registry",
			Environment:     map[string]string{"CONFIG": "/etc/registry.yml"},
			Volumes:         map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}},
			ExistingVolumes: map[string]v1alpha2.ExistingVolume{"config": {Path: "/etc/registry", ConfigMapName: "registry"}},
		},
		{Name: "nginx", Image: "nginx"},
	}
	mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{
		"data": {
			Path: "/tmp/data", Labels: map[string]string{"tier": "fast", v1alpha2.LabelMiniClusterUID: "not-yours"},
			Annotations: map[string]string{"note": "x"}, ClaimAnnotations: map[string]string{"note": "y"},
		},
		"bucket": {
			Path: "/unused", StorageClass: "csi-gcs", Driver: "gcs.csi.example", Secret: "keys", SecretNamespace: "storage", Capacity: "25Gi",
			Attributes: map[string]string{"bucket": "b"}, Delete: new(false),
		},
		"disk": {Path: "/unused", StorageClass: "disks", Driver: "disk.csi.example", Secret: "keys", VolumeHandle: "disk-17"},
	}
}

func TestGoldenObjectsBesideTheJob(t *testing.T) {
	mc := sample.MiniCluster(besideEverything)
	f := ResolveFixed(mc, nil, nil)
	sample.GoldenYAML(t, "beside/services-pod.yaml", BuildServicesPod(mc, f))
	for _, sidecar := range sidecarsOfSpec(mc) {
		sample.GoldenYAML(t, "beside/service-"+sidecar.Name+".yaml", BuildSidecarService(mc, sidecar))
	}
	for key := range mc.Spec.Volumes {
		pv, err := BuildPersistentVolume(mc, key)
		require.NoError(t, err)
		sample.GoldenYAML(t, "beside/volume-"+key+".yaml", pv)
		claim, err := BuildVolumeClaim(mc, key)
		require.NoError(t, err)
		sample.GoldenYAML(t, "beside/claim-"+key+".yaml", claim)
	}
	minimal := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{MinimalService: true} })
	sample.GoldenYAML(t, "beside/service-minimal.yaml", BuildHeadlessService(minimal, ResolveFixed(minimal, nil, nil)))
}

// No selector for the pods of the cluster may select the services pod.
func TestServicesPodIsNoPodOfTheCluster(t *testing.T) {
	mc := sample.MiniCluster(besideEverything)
	f := ResolveFixed(mc, nil, nil)
	pod := BuildServicesPod(mc, f)
	job, err := BuildJob(mc, f, testEnvironment, 4)
	require.NoError(t, err)
	require.Equal(t, "hpc", pod.Labels["team"], "the user's labels")

	scale, err := labels.Parse(Selector(mc))
	require.NoError(t, err)
	affinity := job.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector
	spread, err := metav1.LabelSelectorAsSelector(affinity)
	require.NoError(t, err)
	sidecar := labels.SelectorFromSet(BuildSidecarService(mc, Sidecar{Name: "nginx"}).Spec.Selector)
	for name, selector := range map[string]labels.Selector{
		"autoscaler": scale, "affinity": spread, "sidecar": sidecar, "job": labels.SelectorFromSet(labels.Set{batchv1.JobNameLabel: mc.Name}),
	} {
		assert.False(t, selector.Matches(labels.Set(pod.Labels)), name)
	}
	headless := BuildHeadlessService(mc, f)
	assert.True(t, labels.SelectorFromSet(headless.Spec.Selector).Matches(labels.Set(pod.Labels)), "it has a host name")
	assert.Equal(t, headless.Name, pod.Spec.Subdomain)
}

// The sidecars of a Job are those that it was created with, even where Kubernetes runs them as init containers.
func TestSidecarsOfAJob(t *testing.T) {
	mc := sample.MiniCluster(besideEverything)
	f := ResolveFixed(mc, nil, nil)
	job, err := BuildJob(mc, f, testEnvironment, 4)
	require.NoError(t, err)
	want := sidecarsOfSpec(mc)
	require.Equal(t, []Sidecar{{Name: "nginx", Ports: []int32{80, 443}}}, want)
	mc.Spec.Containers = mc.Spec.Containers[:1]
	assert.Equal(t, want, SidecarsOf(mc, job))

	pod := &job.Spec.Template.Spec
	pod.InitContainers = append(pod.InitContainers, corev1.Container{Name: "native", Ports: []corev1.ContainerPort{{ContainerPort: 1}}})
	assert.Contains(t, SidecarsOf(mc, job), Sidecar{Name: "native", Ports: []int32{1}})
}

func TestOnlyHostPathVolumesAreHostPathVolumes(t *testing.T) {
	mc := sample.MiniCluster(besideEverything)
	assert.Equal(t, "data", HostPathVolume(mc))
	delete(mc.Spec.Volumes, "data")
	assert.Empty(t, HostPathVolume(mc))
	mc.Spec.Volumes["other"] = v1alpha2.MiniClusterVolume{Path: "/data"}
	assert.Equal(t, "other", HostPathVolume(mc), "the default storage class")
}

// TestForeignSecretVolume checks that a Secret of another namespace needs the permission of the administrator.
func TestForeignSecretVolume(t *testing.T) {
	volume := func(secret, namespace string) v1alpha2.MiniClusterVolume {
		return v1alpha2.MiniClusterVolume{Path: "/", StorageClass: "nfs", Driver: "nfs.example", Secret: secret, SecretNamespace: namespace}
	}
	for name, tc := range map[string]struct {
		volume  v1alpha2.MiniClusterVolume
		allowed []string
		want    string
	}{
		"its own by default": {volume: volume("keys", "")},
		"its own":            {volume: volume("keys", "flux-operator")},
		"another":            {volume: volume("keys", "kube-system"), want: "data"},
		"no Secret":          {volume: volume("", "kube-system")},
		"not that one":       {volume: volume("keys", "kube-system"), allowed: []string{"storage"}, want: "data"},
		"permitted":          {volume: volume("keys", "storage"), allowed: []string{"other", "storage"}},
		"all are":            {volume: volume("keys", "kube-system"), allowed: []string{"*"}},
		"a directory":        {volume: v1alpha2.MiniClusterVolume{Path: "/data", Secret: "keys", SecretNamespace: "default"}},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"data": tc.volume}
			})
			assert.Equal(t, tc.want, ForeignSecretVolume(mc, Environment{VolumeSecretNamespaces: tc.allowed}))
		})
	}
}
