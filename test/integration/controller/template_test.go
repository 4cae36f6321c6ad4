package controller_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Sidecars of both kinds, volumes and resources of the pod: the API server stores the pods as intended, and they
// become ready, shrink and grow again.
func TestPodsWithEverything(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mc := f.createReady("full", 3, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"scratch": {EmptyDir: true, Path: "/scratch"}}
		mc.Spec.Containers = append(mc.Spec.Containers,
			v1alpha2.MiniClusterContainer{Name: "wrapped", Image: "a", Command: "serve", Volumes: map[string]v1alpha2.ContainerVolume{"scratch": {Path: "/s"}}},
			v1alpha2.MiniClusterContainer{Name: "own", Image: "nginx"})
		mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada"}}
		mc.Spec.Pod = &v1alpha2.PodSpec{Resources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")}}
	})
	pods, err := f.kube.CoreV1().Pods(f.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: mc.Status.Selector})
	require.NoError(t, err)
	require.Len(t, pods.Items, 3)
	spec := pods.Items[0].Spec
	require.Len(t, spec.Containers, 2)
	require.Len(t, spec.InitContainers, 3)
	assert.Equal(t, corev1.ContainerRestartPolicyAlways, *spec.InitContainers[2].RestartPolicy, "a native sidecar")
	server, err := f.kube.Discovery().ServerVersion()
	require.NoError(t, err)
	if spec.Resources == nil && server.Minor < "34" { // has no resources of pods
		spec.Resources = &spec.Containers[0].Resources
	}
	require.NotNil(t, spec.Resources)
	assert.Equal(t, "500m", spec.Resources.Requests.Cpu().String())
	assert.Empty(t, spec.Overhead)
	f.setSize("full", 1)
	f.waitFor("full", f.ready(1))
	f.setSize("full", 3)
	f.waitFor("full", f.ready(3))
}

// A script that is too large for a ConfigMap is an error of the user, and not retried forever.
func TestTooLargeForAConfigMap(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("large", 1, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].Commands = &v1alpha2.Commands{Script: strings.Repeat("x", 1<<20)}
	})
	f.waitFor("large", has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonInvalid, "ConfigMap", "large-config"))
}

func TestFieldsWithoutEffectAreReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("restful", 1, func(mc *v1alpha2.MiniCluster) { mc.Spec.FluxRestful = &v1alpha2.FluxRestful{Port: 5000} })
	f.waitFor("restful", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonFieldsWithoutEffect, "spec.fluxRestful"))
	f.waitForEvent("restful", v1alpha2.ReasonFieldsWithoutEffect, "spec.fluxRestful")
}
