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
			assert.Equal(t, tc.want, resourcesPlan(&c).GPUs)
		})
	}
}
