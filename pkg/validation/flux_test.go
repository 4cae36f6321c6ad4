package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestValidatePod(t *testing.T) {
	run(t, []testCase{
		{name: "valid", edit: pod(v1alpha2.PodSpec{
			Labels: map[string]string{"app": "flux"}, Annotations: map[string]string{"a/b": "c d"}, ServiceAccountName: "sa",
			RestartPolicy: corev1.RestartPolicyOnFailure, DNSPolicy: corev1.DNSDefault, RuntimeClassName: "nvidia", PriorityClassName: "system-node-critical",
			NodeSelector: map[string]string{"a": "b"}, NodeAffinity: map[string][]string{"a": {"b", "c"}},
			Tolerations: []corev1.Toleration{
				{Operator: corev1.TolerationOpExists}, {Key: "a", Operator: corev1.TolerationOpEqual, Value: "b", Effect: corev1.TaintEffectNoSchedule},
			},
			HostPID: true,
		})},
		{name: "labels and annotations", edit: pod(v1alpha2.PodSpec{
			Labels: map[string]string{"a": "b c"}, Annotations: map[string]string{"a b": ""}, NodeSelector: map[string]string{"a b": ""},
		}), fields: []string{"spec.pod.labels", "spec.pod.annotations", "spec.pod.nodeSelector"}},
		{name: "names", edit: pod(v1alpha2.PodSpec{ServiceAccountName: "A", PriorityClassName: "C", RuntimeClassName: "B"}),
			fields: []string{"spec.pod.serviceAccountName", "spec.pod.priorityClassName", "spec.pod.runtimeClassName"}},
		{name: "policies", edit: pod(v1alpha2.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: "Never"}),
			fields: []string{"spec.pod.restartPolicy", "spec.pod.dnsPolicy"}},
		{name: "node affinity", edit: pod(v1alpha2.PodSpec{NodeAffinity: map[string][]string{"a b": {"c"}, "d": nil, "e": {"f g"}}}),
			fields: []string{"spec.pod.nodeAffinity[a b]", "spec.pod.nodeAffinity[d]", "spec.pod.nodeAffinity[e][0]"}},
		{name: "tolerations", edit: pod(v1alpha2.PodSpec{Tolerations: []corev1.Toleration{
			{Key: "a b"}, {Operator: corev1.TolerationOpEqual}, {Key: "a", Operator: corev1.TolerationOpExists, Value: "b"}, {Key: "a", Effect: "Never"},
		}}), fields: []string{
			"spec.pod.tolerations[0].key", "spec.pod.tolerations[1].operator", "spec.pod.tolerations[2].value", "spec.pod.tolerations[3].effect",
		}},
		{name: "negative resources", edit: pod(v1alpha2.PodSpec{Resources: corev1.ResourceList{"cpu": resource.MustParse("-1")}}), fields: []string{"spec.pod.resources[cpu]"}},
		{name: "two namespaces of processes", edit: spec(func(s *v1alpha2.MiniClusterSpec) {
			s.ShareProcessNamespace, s.Pod = true, &v1alpha2.PodSpec{HostPID: true}
		}), fields: []string{"spec.pod.hostPID"}},
		{name: "no grace period", edit: pod(v1alpha2.PodSpec{TerminationGracePeriodSeconds: new(int64(0))}), fields: []string{"spec.pod.terminationGracePeriodSeconds"}},
		{name: "job labels", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.JobLabels = map[string]string{"kueue.x-k8s.io/queue-name": "a b"} }), fields: []string{"spec.jobLabels"}},
		{name: "headless service", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.Network = &v1alpha2.Network{HeadlessName: "1flux"} }), fields: []string{"spec.network.headlessName"}},
	})
}

func TestValidateFlux(t *testing.T) {
	const certificate = `metadata
    name = "test"
curve
    public-key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    secret-key = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
`
	run(t, []testCase{
		{name: "empty", edit: flux(v1alpha2.FluxSpec{})},
		{name: "valid", edit: flux(v1alpha2.FluxSpec{
			InstallRoot: "/usr", ConnectTimeout: "500ms", LogLevel: new(int32(7)), Topology: "kary:2", MungeSecret: "munge",
			Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: "easy"}, State: &v1alpha2.FluxState{ClaimName: "state", SubPath: "a/b"},
		})},
		{name: "install root", edit: flux(v1alpha2.FluxSpec{InstallRoot: "usr"}), fields: []string{"spec.flux.installRoot"}},
		{name: "log level", edit: flux(v1alpha2.FluxSpec{LogLevel: new(int32(8))}), fields: []string{"spec.flux.logLevel"}},
		{name: "no logs", edit: flux(v1alpha2.FluxSpec{LogLevel: new(int32(-1))})},
		{name: "connect timeout", edit: flux(v1alpha2.FluxSpec{ConnectTimeout: "soon"}), fields: []string{"spec.flux.connectTimeout"}, says: "for example 5s"},
		{name: "topology", edit: flux(v1alpha2.FluxSpec{Topology: "ring"}), fields: []string{"spec.flux.topology"}},
		{name: "topology without names", edit: flux(v1alpha2.FluxSpec{Topology: "kary:2", MinimalService: true}), fields: []string{"spec.flux.topology"}, says: "minimalService"},
		{name: "minimal Service", edit: flux(v1alpha2.FluxSpec{Topology: "flat", MinimalService: true})},
		{name: "queue policy", edit: flux(v1alpha2.FluxSpec{Scheduler: &v1alpha2.FluxScheduler{QueuePolicy: "lottery"}}), fields: []string{"spec.flux.scheduler.queuePolicy"}},
		{name: "broker.toml", edit: flux(v1alpha2.FluxSpec{BrokerConfig: "[bootstrap"}), fields: []string{"spec.flux.brokerConfig"}},
		{name: "several", edit: flux(v1alpha2.FluxSpec{
			ConnectTimeout: "soon", Bursting: &v1alpha2.Bursting{Hostlist: "a[", Clusters: nil},
		}), fields: []string{"spec.flux.bursting.hostlist", "spec.flux.connectTimeout"}},
		{name: "certificate", edit: flux(v1alpha2.FluxSpec{CurveCert: certificate})},
		{name: "no certificate", edit: flux(v1alpha2.FluxSpec{CurveCert: "[exec]"}), fields: []string{"spec.flux.curveCert"}, says: "flux keygen"},
		{name: "the Secret takes precedence", edit: flux(v1alpha2.FluxSpec{CurveCert: "[exec]", CurveCertSecret: "curve"})},
		{name: "secrets' names", edit: flux(v1alpha2.FluxSpec{CurveCertSecret: "A", MungeSecret: "B"}), fields: []string{"spec.flux.curveCertSecret", "spec.flux.mungeSecret"}},
		{name: "environment", edit: flux(v1alpha2.FluxSpec{Environment: map[string]string{"a=b": ""}}), fields: []string{"spec.flux.environment[a=b]"}},
		{name: "view", edit: flux(v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{
			Image: " a", ImagePullSecret: "A", Name: "a_b", MountPath: "opt/view",
			Resources: &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("-1")}},
		}}), fields: []string{
			"spec.flux.container.image", "spec.flux.container.imagePullSecret", "spec.flux.container.resources.limits[cpu]",
			"spec.flux.container.name", "spec.flux.container.mountPath",
		}},
		{name: "state", edit: flux(v1alpha2.FluxSpec{State: &v1alpha2.FluxState{SubPath: "/a"}}), fields: []string{"spec.flux.state.claimName", "spec.flux.state.subPath"}},
		{name: "state outside of the volume", edit: flux(v1alpha2.FluxSpec{State: &v1alpha2.FluxState{ClaimName: "a", SubPath: "../a"}}), fields: []string{"spec.flux.state.subPath"}},
	})
}

func TestValidateBursting(t *testing.T) {
	bursting := func(b v1alpha2.Bursting) edit { return flux(v1alpha2.FluxSpec{Bursting: &b}) }
	run(t, []testCase{
		{name: "clusters", edit: bursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "burst-0", Size: 4}, {}}})},
		{name: "host list", edit: bursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3],burst-0-[0-3]"})},
		{name: "child", edit: bursting(v1alpha2.Bursting{
			LeadBroker: &v1alpha2.LeadBroker{Name: "parent", Address: "10.0.0.1", Port: 30093, Size: 4},
			Clusters:   []v1alpha2.BurstedCluster{{Name: "flux-sample", Size: 4}},
		})},
		{name: "both", edit: bursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3]", Clusters: []v1alpha2.BurstedCluster{{}}}), fields: []string{"spec.flux.bursting.hostlist"}},
		{name: "syntax", edit: bursting(v1alpha2.Bursting{Hostlist: "flux-sample-[0-3"}), fields: []string{"spec.flux.bursting.hostlist"}},
		{name: "without this cluster", edit: bursting(v1alpha2.Bursting{Hostlist: "other-[0-3]"}), fields: []string{"spec.flux.bursting.hostlist"}},
		{name: "a brokerConfig has its own hosts", edit: flux(v1alpha2.FluxSpec{BrokerConfig: "[bootstrap]\n", Bursting: &v1alpha2.Bursting{Hostlist: "other"}})},
		{name: "name of a cluster", edit: bursting(v1alpha2.Bursting{Clusters: []v1alpha2.BurstedCluster{{Name: "a_b", Size: 1}}}), fields: []string{"spec.flux.bursting.clusters[0]"}},
		{name: "lead without a name", edit: bursting(v1alpha2.Bursting{LeadBroker: &v1alpha2.LeadBroker{}}), fields: []string{"spec.flux.bursting.leadBroker"}},
		{name: "more hosts than Flux can have", edit: spec(func(s *v1alpha2.MiniClusterSpec) { s.MaxSize = 2_000_000_000 }), fields: []string{"spec.maxSize"}},
		{name: "name too long for anything", edit: named(strings.Repeat("a", 300)), fields: []string{"metadata.name"}},
	})
}
