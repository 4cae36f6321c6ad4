package fluxconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestIsGPU(t *testing.T) {
	for name, want := range map[corev1.ResourceName]bool{
		"nvidia.com/gpu": true, "nvidia.com/gpu.shared": true, "nvidia.com/mig-1g.5gb": true, "nvidia.com/mig-1g.5gb.shared": true,
		"amd.com/gpu": true, "gpu.intel.com/i915": true, "gpu.intel.com/xe": true, "habana.ai/gaudi": true, "vendor.example/gpu": true,
		"nvidia.com/gpu-shared": true, "nvidia.com/gpu-a100": true, "nvidia.com/mig-1g.10gb.me": true, "amd.com/cpx_nps4": true,
		"amd.com/spx_nps1": true, "k8s.amazonaws.com/vgpu": true, "metax-tech.com/gpu": true,
		"nvidia.com/gpumem": false, "nvidia.com/gpucores": false, "nvidia.com/gpu-memory": false, "aliyun.com/gpu-mem": false,
		"google.com/tpu": false, "aws.amazon.com/neuron": false, "vpc.amazonaws.com/efa": false, "gpu.intel.com/tiles": false,
		"cpu": false, "gpu": false, "rdma/hca": false, "nvidia.com/hostdev": false, "gpu.intel.com/millicores": false,
		"gpu.intel.com/memory.max": false, "gpu.intel.com/i915_monitoring": false, "hugepages-2Mi": false,
	} {
		assert.Equal(t, want, IsGPU(name), name)
	}
}

func TestGPUs(t *testing.T) {
	for name, tc := range map[string]struct {
		limits map[corev1.ResourceName]string
		want   int
	}{
		"shared":         {map[corev1.ResourceName]string{"nvidia.com/gpu.shared": "2", "cpu": "4"}, 2},
		"two kinds":      {map[corev1.ResourceName]string{"nvidia.com/gpu": "2", "gpu.intel.com/xe": "1", "rdma/hca": "3"}, 3},
		"a typing error": {map[corev1.ResourceName]string{"nvidia.com/gpu": "9223372036854775807", "amd.com/gpu": "5"}, 1024},
	} {
		t.Run(name, func(t *testing.T) {
			limits := corev1.ResourceList{}
			for name, quantity := range tc.limits {
				limits[name] = resource.MustParse(quantity)
			}
			c := v1alpha2.MiniClusterContainer{Resources: &corev1.ResourceRequirements{Limits: limits}}
			assert.Equal(t, tc.want, HostResources(&v1alpha2.MiniCluster{}, &c).GPUs)
		})
	}
}

func TestDevicesOfThePod(t *testing.T) {
	list := func(name corev1.ResourceName, quantity string) corev1.ResourceList {
		return corev1.ResourceList{name: resource.MustParse(quantity)}
	}
	for name, tc := range map[string]struct {
		pod, flux corev1.ResourceList
		gpus      int
		derived   bool
	}{
		"a GPU of the pod":              {list("nvidia.com/gpu", "2"), list("cpu", "4"), 2, true},
		"nothing else":                  {list("amd.com/gpu", "1"), nil, 1, true},
		"the container has its own":     {list("nvidia.com/gpu", "2"), list("nvidia.com/gpu", "1"), 1, true},
		"another device of the pod":     {list("rdma/hca", "1"), nil, 0, true},
		"CPUs of the pod are no limit":  {list("cpu", "8"), nil, 0, false},
		"memory of the pod is no limit": {list("memory", "8Gi"), list("memory", "1Gi"), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			mc := &v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{
				Pod:        &v1alpha2.PodSpec{Resources: tc.pod},
				Containers: []v1alpha2.MiniClusterContainer{{Resources: &corev1.ResourceRequirements{Limits: tc.flux}}},
			}}
			assert.Equal(t, tc.gpus, HostResources(mc, &mc.Spec.Containers[0]).GPUs)
			assert.Equal(t, tc.derived, DerivedResources(mc, &mc.Spec.Containers[0]))
		})
	}
}
