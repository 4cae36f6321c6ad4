package resources

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// compliant is what a container has to say for Pod Security's level restricted. It names no user.
func compliant() corev1.SecurityContext {
	return corev1.SecurityContext{
		RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func withCompliant(mc *v1alpha2.MiniCluster) {
	mc.Spec.Pod = &v1alpha2.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}}
	mc.Spec.Containers[0].RunFlux = true
	mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "nginx", Image: "nginx", Ports: []int32{8080}})
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry"}}
	for _, containers := range [][]v1alpha2.MiniClusterContainer{mc.Spec.Containers, mc.Spec.Services} {
		for i := range containers {
			containers[i].SecurityContext = &v1alpha2.SecurityContext{SecurityContext: compliant()}
		}
	}
}

// TestUsersThatThePlatformAssigns: OpenShift's SCC restricted-v2 assigns the user and the groups of pods, and rejects
// all others. Pods of a MiniCluster that names none have none, and comply with Pod Security's level restricted.
func TestUsersThatThePlatformAssigns(t *testing.T) {
	env := testEnvironment
	env.SecretGroup = 0
	mounted := env
	mounted.ImageVolumes = true
	for name, tc := range map[string]struct {
		env Environment
		mod func(*v1alpha2.MiniCluster)
	}{
		"system":       {env, sample.WithInstallRoot},
		"view":         {env, withView(v1alpha2.FluxContainer{SecurityContext: new(compliant())})},
		"mounted view": {mounted, withView(v1alpha2.FluxContainer{})},
		"own Flux":     {env, withView(v1alpha2.FluxContainer{Disable: true})},
		"munge": {env, func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Flux = &v1alpha2.FluxSpec{MungeSecret: "key", Container: &v1alpha2.FluxContainer{SecurityContext: new(compliant())}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.mod, withCompliant)
			assertRestricted(t, podOf(t, tc.env, func(out *v1alpha2.MiniCluster) { *out = *mc }))
			assertRestricted(t, BuildServicesPod(mc, NewFixed(mc)).Spec)
		})
	}
}

func assertRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	s := pod.SecurityContext
	assert.True(t, s.RunAsUser == nil && s.RunAsGroup == nil && s.FSGroup == nil && s.SupplementalGroups == nil, "the platform assigns them")
	assert.False(t, pod.HostNetwork || pod.HostIPC || pod.HostPID)
	for _, v := range pod.Volumes {
		assert.True(t, v.ConfigMap != nil || v.EmptyDir != nil || v.Projected != nil || v.Secret != nil || v.Image != nil, v.Name)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		s := c.SecurityContext
		if !assert.NotNil(t, s, c.Name) {
			continue
		}
		assert.True(t, s.RunAsUser == nil && s.RunAsGroup == nil, "the platform assigns the user of %s", c.Name)
		assert.True(t, s.RunAsNonRoot != nil && *s.RunAsNonRoot, c.Name)
		assert.True(t, s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation, c.Name)
		assert.Equal(t, []corev1.Capability{"ALL"}, s.Capabilities.Drop, c.Name)
		assert.Empty(t, s.Capabilities.Add, c.Name)
		for _, port := range c.Ports {
			assert.Zero(t, port.HostPort, c.Name)
		}
	}
}

// TestUserOfTheAgent checks that the agent's init container has another user only if that of the pod is root.
func TestUserOfTheAgent(t *testing.T) {
	for name, tc := range map[string]struct {
		pod  *corev1.PodSecurityContext
		want *int64
	}{
		"none":    {nil, nil},
		"another": {&corev1.PodSecurityContext{RunAsUser: new(int64(1000))}, nil},
		"root":    {&corev1.PodSecurityContext{RunAsUser: new(int64(0))}, new(agentUser)},
	} {
		spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{SecurityContext: tc.pod} })
		assert.Equal(t, tc.want, spec.InitContainers[0].SecurityContext.RunAsUser, name)
	}
}

// TestServicesPodIsNotEvicted: the cluster depends on it, so it carries what the pods of the cluster carry.
func TestServicesPodIsNotEvicted(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry"}}
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{"note": "x"}}
	})
	pod := BuildServicesPod(mc, NewFixed(mc))
	assert.Equal(t, map[string]string{"note": "x", safeToEvictAnnotation: "false", doNotDisruptAnnotation: "true"}, pod.Annotations)
	mc.Spec.Pod.Annotations = map[string]string{safeToEvictAnnotation: "true"}
	assert.Equal(t, "true", BuildServicesPod(mc, NewFixed(mc)).Annotations[safeToEvictAnnotation], "the user decides")
	assert.Equal(t, new(false), pod.Spec.EnableServiceLinks)
	assert.Equal(t, new(false), podOf(t, testEnvironment).EnableServiceLinks)
}
