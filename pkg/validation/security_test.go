package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func podSecurity(s corev1.PodSecurityContext) edit { return pod(v1alpha2.PodSpec{SecurityContext: &s}) }

func security(s v1alpha2.SecurityContext) edit {
	return container(func(c *v1alpha2.MiniClusterContainer) { c.SecurityContext = &s })
}

// Each of these was accepted once, although the API server rejects the Job.
func TestValidatePodSecurity(t *testing.T) {
	const at = "spec.pod.securityContext"
	run(t, []testCase{
		{name: "valid", edit: podSecurity(corev1.PodSecurityContext{
			RunAsUser: new(int64(0)), RunAsGroup: new(int64(1000)), FSGroup: new(int64(1000)), SupplementalGroups: []int64{1, 2},
			FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch), SupplementalGroupsPolicy: new(corev1.SupplementalGroupsPolicyStrict),
			SELinuxChangePolicy: new(corev1.SELinuxChangePolicyRecursive),
			Sysctls:             []corev1.Sysctl{{Name: "net.core.somaxconn", Value: "1"}, {Name: "net/ipv4/ip_forward", Value: "1"}},
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("a/b.json")},
			AppArmorProfile:     &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: new("a")},
		})},
		{name: "ids", edit: podSecurity(corev1.PodSecurityContext{
			RunAsUser: new(int64(-1)), RunAsGroup: new(int64(1 << 40)), FSGroup: new(int64(-1)), SupplementalGroups: []int64{1, -1},
		}), fields: []string{at + ".runAsUser", at + ".runAsGroup", at + ".fsGroup", at + ".supplementalGroups[1]"}},
		{name: "policies", edit: podSecurity(corev1.PodSecurityContext{
			FSGroupChangePolicy: new(corev1.PodFSGroupChangePolicy("/b")), SupplementalGroupsPolicy: new(corev1.SupplementalGroupsPolicy("x")),
			SELinuxChangePolicy: new(corev1.PodSELinuxChangePolicy("")),
		}), fields: []string{at + ".fsGroupChangePolicy", at + ".supplementalGroupsPolicy", at + ".seLinuxChangePolicy"}},
		{name: "sysctls", edit: podSecurity(corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{
			{Name: "a b"}, {Name: ""}, {Name: "kernel.sem"}, {Name: "kernel.sem"}, {Name: strings.Repeat("a", 254)},
		}}), fields: []string{at + ".sysctls[0].name", at + ".sysctls[1].name", at + ".sysctls[3].name", at + ".sysctls[4].name"}},
		{name: "sysctls of the host", edit: pod(v1alpha2.PodSpec{HostIPC: true, SecurityContext: &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{
			{Name: "net.core.somaxconn"}, {Name: "kernel.shm_rmid_forced"}, {Name: "fs/mqueue/msg_max"},
		}}}), fields: []string{at + ".sysctls[1].name", at + ".sysctls[2].name"}},
		{name: "profiles", edit: podSecurity(corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: "x"}, AppArmorProfile: &corev1.AppArmorProfile{Type: "example.com/a"},
			WindowsOptions: &corev1.WindowsSecurityContextOptions{},
		}), fields: []string{at + ".windowsOptions", at + ".seccompProfile.type", at + ".appArmorProfile.type"}},
		{name: "profiles without a name", edit: podSecurity(corev1.PodSecurityContext{
			SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost},
		}), fields: []string{at + ".seccompProfile.localhostProfile", at + ".appArmorProfile.localhostProfile"}},
		{name: "profiles with a name too many", edit: podSecurity(corev1.PodSecurityContext{
			SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined, LocalhostProfile: new("a")},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined, LocalhostProfile: new("a")},
		}), fields: []string{at + ".seccompProfile.localhostProfile", at + ".appArmorProfile.localhostProfile"}},
		{name: "names of profiles", edit: podSecurity(corev1.PodSecurityContext{
			SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("../a")},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: new(" a")},
		}), fields: []string{at + ".seccompProfile.localhostProfile", at + ".appArmorProfile.localhostProfile"}},
	})
}

func TestValidateContainerSecurity(t *testing.T) {
	const at = "spec.containers[0].securityContext"
	run(t, []testCase{
		{name: "valid", edit: security(v1alpha2.SecurityContext{
			SecurityContext: corev1.SecurityContext{Privileged: new(true), ProcMount: new(corev1.DefaultProcMount), RunAsUser: new(int64(0))},
			AddCapabilities: []corev1.Capability{"SYS_PTRACE", "CAP_SYS_ADMIN"},
		})},
		{name: "ids", edit: security(v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsUser: new(int64(-1)), RunAsGroup: new(int64(-1))}}),
			fields: []string{at + ".runAsUser", at + ".runAsGroup"}},
		{name: "unmasked /proc", edit: security(v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{ProcMount: new(corev1.UnmaskedProcMount)}}),
			fields: []string{at + ".procMount"}},
		{name: "/proc", edit: security(v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{ProcMount: new(corev1.ProcMountType("x"))}}),
			fields: []string{at + ".procMount"}},
		{name: "privileged without escalation", edit: security(v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Privileged: new(true),
		}}), fields: []string{at + ".allowPrivilegeEscalation"}},
		{name: "an administrator without escalation", edit: security(v1alpha2.SecurityContext{
			SecurityContext: corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}, AddCapabilities: []corev1.Capability{"CAP_SYS_ADMIN"},
		}), fields: []string{at + ".allowPrivilegeEscalation"}},
		{name: "profiles", edit: security(v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{
			SeccompProfile: &corev1.SeccompProfile{}, AppArmorProfile: &corev1.AppArmorProfile{}, WindowsOptions: &corev1.WindowsSecurityContextOptions{},
		}}), fields: []string{at + ".windowsOptions", at + ".seccompProfile.type", at + ".appArmorProfile.type"}},
	})
}

func TestValidateReservedPodMetadata(t *testing.T) {
	run(t, []testCase{
		{name: "valid", edit: pod(v1alpha2.PodSpec{
			Labels: map[string]string{"hpa-selector": "x"}, Annotations: map[string]string{"controller.kubernetes.io/pod-deletion-cost": "-5"},
		})},
		{name: "labels of the Job controller", edit: pod(v1alpha2.PodSpec{Labels: map[string]string{
			"controller-uid": "x", "batch.kubernetes.io/controller-uid": "x", "job-name": "x", "batch.kubernetes.io/job-name": "x",
			"batch.kubernetes.io/job-completion-index": "0",
		}}), fields: []string{
			"spec.pod.labels[batch.kubernetes.io/controller-uid]", "spec.pod.labels[batch.kubernetes.io/job-completion-index]",
			"spec.pod.labels[batch.kubernetes.io/job-name]", "spec.pod.labels[controller-uid]", "spec.pod.labels[job-name]",
		}},
		{name: "labels of the controller", edit: pod(v1alpha2.PodSpec{Labels: map[string]string{"flux-framework.org/headless-service": "x"}}),
			fields: []string{"spec.pod.labels[flux-framework.org/headless-service]"}, says: "reserved for the controller"},
		{name: "labels of the Job", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.JobLabels = map[string]string{"job-name": "x", "flux-framework.org/x": "y", "kueue.x-k8s.io/queue-name": "q"}
		}), fields: []string{"spec.jobLabels[job-name]", "spec.jobLabels[flux-framework.org/x]"}},
		{name: "annotations of the Job", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.JobAnnotations = map[string]string{"kueue.x-k8s.io/elastic-job": "true", "flux-framework.org/applied-size": "3", "a b": ""}
		}), fields: []string{"spec.jobAnnotations", "spec.jobAnnotations[flux-framework.org/applied-size]"}},
		{name: "annotations that Kubernetes reads", edit: pod(v1alpha2.PodSpec{Annotations: map[string]string{
			"kubernetes.io/config.mirror": "x", "controller.kubernetes.io/pod-deletion-cost": "007",
			"scheduler.alpha.kubernetes.io/tolerations":                  "x",
			"seccomp.security.alpha.kubernetes.io/pod":                   "x",
			"container.seccomp.security.alpha.kubernetes.io/flux-sample": "x",
			"container.apparmor.security.beta.kubernetes.io/flux-sample": "x",
		}}), fields: []string{
			"spec.pod.annotations[container.apparmor.security.beta.kubernetes.io/flux-sample]",
			"spec.pod.annotations[container.seccomp.security.alpha.kubernetes.io/flux-sample]",
			"spec.pod.annotations[controller.kubernetes.io/pod-deletion-cost]", "spec.pod.annotations[kubernetes.io/config.mirror]",
			"spec.pod.annotations[scheduler.alpha.kubernetes.io/tolerations]", "spec.pod.annotations[seccomp.security.alpha.kubernetes.io/pod]",
		}},
		{name: "tolerations", edit: pod(v1alpha2.PodSpec{Tolerations: []corev1.Toleration{
			{Key: "a", Value: "b c"}, {Key: "a", Operator: "In"}, {Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(5))},
		}}), fields: []string{"spec.pod.tolerations[0].value", "spec.pod.tolerations[1].operator", "spec.pod.tolerations[2].tolerationSeconds"}},
	})
}

func TestValidateResources(t *testing.T) {
	const at = "spec.containers[0].resources"
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	resources := func(r corev1.ResourceRequirements) edit {
		return container(func(c *v1alpha2.MiniClusterContainer) { c.Resources = &r })
	}
	run(t, []testCase{
		{name: "valid", edit: resources(corev1.ResourceRequirements{
			Limits:   list("cpu", "1", "nvidia.com/gpu", "2", "hugepages-2Mi", "4Mi", "example.com/a", "1"),
			Requests: list("cpu", "500m", "ephemeral-storage", "1Gi", "nvidia.com/gpu", "2", "hugepages-2Mi", "4Mi"),
		})},
		{name: "names", edit: resources(corev1.ResourceRequirements{Limits: list("pods", "1", "a b", "1", "hugepages-x", "1", "requests.nvidia.com/gpu", "1", "cpu", "1")}),
			fields: []string{at + ".limits[a b]", at + ".limits[hugepages-x]", at + ".limits[pods]", at + ".limits[requests.nvidia.com/gpu]"}},
		{name: "fractions of a device", edit: resources(corev1.ResourceRequirements{Limits: list("nvidia.com/gpu", "500m")}), fields: []string{at + ".limits[nvidia.com/gpu]"}},
		{name: "a device is not shared", edit: resources(corev1.ResourceRequirements{
			Limits: list("nvidia.com/gpu", "2"), Requests: list("nvidia.com/gpu", "1", "example.com/a", "1"),
		}), fields: []string{at + ".limits[example.com/a]", at + ".requests[nvidia.com/gpu]"}},
		{name: "huge pages alone", edit: resources(corev1.ResourceRequirements{Limits: list("hugepages-2Mi", "4Mi")}), fields: []string{at}},
		{name: "parts of pages", edit: resources(corev1.ResourceRequirements{Limits: list("hugepages-2Mi", "1Mi", "hugepages-1Gi", "1m", "cpu", "1")}),
			fields: []string{at + ".limits[hugepages-1Gi]", at + ".limits[hugepages-2Mi]"}},
		{name: "claims", edit: resources(corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "a"}}}), fields: []string{at + ".claims[0].name"}, says: "spec.pod.resourceClaims"},
	})
}

func TestValidateLargestSize(t *testing.T) {
	run(t, []testCase{
		{name: "largest", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size, s.MaxSize = new(int32(100_000)), 100_000 })},
		{name: "size", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Size = new(int32(100_001)) }), fields: []string{"spec.size"}},
		{name: "maxSize", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.MaxSize = 1 << 20 }), fields: []string{"spec.maxSize"}},
	})
}

// The status contains the errors, so they must not change without a reason.
func TestErrorsHaveOneOrder(t *testing.T) {
	labels := map[string]string{}
	for _, name := range []string{"a b", "c d", "e f", "g h", "i j", "k l"} {
		labels[name] = "a b"
	}
	mc := cluster(pod(v1alpha2.PodSpec{Labels: labels, Annotations: labels, NodeSelector: labels}))
	first := ValidateMiniCluster(mc).ToAggregate().Error()
	for range 20 {
		require.Equal(t, first, ValidateMiniCluster(mc).ToAggregate().Error())
	}
}
