package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// list returns a list of resources: name, quantity, name, quantity ...
func list(pairs ...string) corev1.ResourceList {
	if len(pairs) == 0 {
		return nil
	}
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func withResources(requests, limits corev1.ResourceList) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{Requests: requests, Limits: limits}
	}
}

func assertList(t *testing.T, want, got corev1.ResourceList, messages ...any) {
	t.Helper()
	require.Len(t, got, len(want), messages...)
	for name, quantity := range want {
		other := got[name]
		require.Zero(t, quantity.Cmp(other), "%s: %s and %s %v", name, quantity.String(), other.String(), messages)
	}
}

func TestInitResources(t *testing.T) {
	for name, tc := range map[string]struct {
		requests, limits, wantRequests, wantLimits corev1.ResourceList
	}{
		"nothing": {},
		"requests and limits": {
			list("cpu", "50m", "memory", "1Gi"), list("cpu", "80m"), list("cpu", "50m", "memory", "1Gi"), list("cpu", "80m"),
		},
		"limits alone":   {nil, list("cpu", "2", "nvidia.com/gpu", "1"), nil, list("cpu", "2")},
		"requests alone": {list("cpu", "1m", "memory", "1Mi"), nil, list("cpu", "1m", "memory", "1Mi"), nil},
		"local storage":  {list("ephemeral-storage", "1Gi"), nil, list("ephemeral-storage", "1Gi"), nil},
		"no device":      {list("nvidia.com/gpu", "1"), list("nvidia.com/gpu", "1"), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec := podOf(t, testEnvironment, withResources(tc.requests, tc.limits))
			require.Len(t, spec.InitContainers, 2)
			for _, c := range spec.InitContainers {
				assertList(t, tc.wantRequests, c.Resources.Requests, c.Name)
				assertList(t, tc.wantLimits, c.Resources.Limits, c.Name)
			}
		})
	}
	own := podOf(t, testEnvironment, withResources(list("cpu", "2"), nil), withView(v1alpha2.FluxContainer{
		Resources: &corev1.ResourceRequirements{Requests: list("cpu", "3")},
	}))
	assertList(t, list("cpu", "3"), own.InitContainers[1].Resources.Requests, "the view's own")
}

func TestPodResources(t *testing.T) {
	with := func(asked corev1.ResourceList) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{Resources: asked} }
	}
	for name, tc := range map[string]struct {
		asked, requests, limits     corev1.ResourceList // of the pod, of the Flux container
		minor                       int
		podRequests, podLimits      corev1.ResourceList
		containerAsks, containerMay corev1.ResourceList
		unused                      []corev1.ResourceName
	}{
		"nothing": {},
		"the pod": {
			asked: list("cpu", "2", "memory", "1Gi"), podRequests: list("cpu", "2", "memory", "1Gi"),
		},
		"more than the containers": {
			asked: list("cpu", "2"), requests: list("cpu", "1"), podRequests: list("cpu", "2"), containerAsks: list("cpu", "1"),
		},
		"less than the containers": {
			asked: list("cpu", "1"), requests: list("cpu", "2"), containerAsks: list("cpu", "2"), unused: []corev1.ResourceName{"cpu"},
		},
		"more than a small container": {
			asked: list("memory", "32Mi"), requests: list("memory", "16Mi"), containerAsks: list("memory", "16Mi"), podRequests: list("memory", "32Mi"),
		},
		"a Guaranteed pod": {
			asked: list("cpu", "2"), limits: list("cpu", "1", "memory", "1Gi"), containerMay: list("cpu", "1", "memory", "1Gi"),
			podRequests: list("cpu", "2", "memory", "1Gi"), podLimits: list("cpu", "2", "memory", "1Gi"),
		},
		"devices": {
			asked:         list("nvidia.com/gpu", "1", "ephemeral-storage", "1Gi"),
			containerAsks: list("nvidia.com/gpu", "1", "ephemeral-storage", "1Gi"), containerMay: list("nvidia.com/gpu", "1"),
		},
		"devices that the container asks for": {
			asked: list("nvidia.com/gpu", "1"), limits: list("nvidia.com/gpu", "2"), containerMay: list("nvidia.com/gpu", "2"),
			unused: []corev1.ResourceName{"nvidia.com/gpu"},
		},
		"huge pages alone": {asked: list("hugepages-2Mi", "2Mi"), unused: []corev1.ResourceName{"hugepages-2Mi"}},
		"huge pages": {
			asked: list("hugepages-2Mi", "2Mi"), requests: list("cpu", "1"), containerAsks: list("cpu", "1", "hugepages-2Mi", "2Mi"),
			containerMay: list("hugepages-2Mi", "2Mi"),
		},
		"an older server": {
			asked: list("cpu", "2", "memory", "1Gi"), requests: list("cpu", "1"), minor: minorPodResources - 1,
			containerAsks: list("cpu", "1", "memory", "1Gi"), unused: []corev1.ResourceName{"cpu"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnvironment
			env.ServerMinor = tc.minor
			mods := []func(*v1alpha2.MiniCluster){with(tc.asked)}
			if tc.requests != nil || tc.limits != nil {
				mods = append(mods, withResources(tc.requests, tc.limits))
			}
			spec := podOf(t, env, mods...)
			if tc.podRequests == nil {
				assert.Nil(t, spec.Resources)
			} else {
				assertList(t, tc.podRequests, spec.Resources.Requests)
				assertList(t, tc.podLimits, spec.Resources.Limits)
			}
			flux := container(t, spec, "flux-sample").Resources
			assertList(t, tc.containerAsks, flux.Requests)
			assertList(t, tc.containerMay, flux.Limits)
			mc := sample.MiniCluster(mods...)
			assert.Equal(t, tc.unused, distributePodResources(mc, env).unused)
		})
	}
}
