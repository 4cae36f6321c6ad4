package resources

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Grace periods of a pod in seconds. It is longer with an archive to write.
const (
	gracePeriod        int64 = 30
	gracePeriodArchive int64 = 120
)

// buildPodSpec builds the pods of a MiniCluster.
//
// Service links are off: brokers and programs find each other by DNS, and the variables of
// a namespace with thousands of Services can exceed what a process can be started with.
func buildPodSpec(mc *v1alpha2.MiniCluster, f Fixed, env Environment) corev1.PodSpec {
	pod := mc.Spec.Pod
	if pod == nil {
		pod = &v1alpha2.PodSpec{}
	}
	spec := corev1.PodSpec{
		Subdomain:                     f.Headless,
		SetHostnameAsFQDN:             new(false),
		RestartPolicy:                 restartPolicy(mc),
		ImagePullSecrets:              imagePullSecrets(mc, f, env),
		ServiceAccountName:            pod.ServiceAccountName,
		AutomountServiceAccountToken:  pod.AutomountServiceAccountToken,
		SchedulerName:                 pod.SchedulerName,
		PriorityClassName:             pod.PriorityClassName,
		EnableServiceLinks:            new(false),
		DNSPolicy:                     dnsPolicy(pod),
		DNSConfig:                     pod.DNSConfig.DeepCopy(),
		HostNetwork:                   pod.HostNetwork,
		HostIPC:                       pod.HostIPC,
		HostPID:                       pod.HostPID,
		NodeSelector:                  maps.Clone(pod.NodeSelector),
		Tolerations:                   slices.Clone(pod.Tolerations),
		TopologySpreadConstraints:     spreadConstraints(mc),
		ResourceClaims:                slices.Clone(pod.ResourceClaims),
		SecurityContext:               podSecurityContext(mc, env),
		Affinity:                      affinity(mc),
		TerminationGracePeriodSeconds: new(gracePeriodOf(mc)),
		Volumes:                       slices.Concat(fluxVolumes(mc, f, env), userVolumes(mc, mc.Spec.Containers)),
	}
	if pod.RuntimeClassName != "" {
		spec.RuntimeClassName = new(pod.RuntimeClassName)
	}
	if mc.Spec.ShareProcessNamespace {
		spec.ShareProcessNamespace = new(true)
	}
	if pod.StopSignal != "" {
		// Kubernetes accepts stop signals only if the operating system is specified.
		spec.OS = &corev1.PodOS{Name: corev1.Linux}
	}
	addContainers(&spec, mc, f, env)
	applyPodResources(&spec, mc, env)
	return spec
}

// addContainers adds the init containers: first those that must end before Flux starts, then sidecars that run the
// entrypoint of their image. Kubernetes stops those after all other containers, so they do not keep a finished
// cluster alive. Servers that do not support such sidecars get usual containers.
func addContainers(spec *corev1.PodSpec, mc *v1alpha2.MiniCluster, f Fixed, env Environment) {
	resources := initResources(mc)
	if !env.mountsImages() {
		spec.InitContainers = append(spec.InitContainers, agentInit(mc, env, resources))
	}
	if needsViewInit(mc, f, env) {
		spec.InitContainers = append(spec.InitContainers, viewInit(mc, f, env, *resources.DeepCopy()))
	}
	for i := range mc.Spec.Containers {
		container := buildContainer(mc, f, env, i)
		if roleOf(mc, i) == roleUnwrapped && env.AtLeast(minorNativeSidecars) {
			container.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			spec.InitContainers = append(spec.InitContainers, container)
			continue
		}
		spec.Containers = append(spec.Containers, container)
	}
}

// dnsPolicy returns the DNS policy of the pods. In the network of the host, the default of Kubernetes would not
// resolve the names of Services, which brokers need to find each other.
func dnsPolicy(pod *v1alpha2.PodSpec) corev1.DNSPolicy {
	if pod.HostNetwork && pod.DNSPolicy == "" {
		return corev1.DNSClusterFirstWithHostNet
	}
	return pod.DNSPolicy
}

// spreadConstraints returns the topology spread constraints of the pods. A constraint without a selector would match
// no pods; it gets the selector of the cluster's pods.
//
// The scheduler spreads pods without constraints over the nodes by default, which would outweigh the preference to pack
// them. For these, there is a constraint that matches no pods.
func spreadConstraints(mc *v1alpha2.MiniCluster) []corev1.TopologySpreadConstraint {
	if mc.Spec.Pod == nil || len(mc.Spec.Pod.TopologySpreadConstraints) == 0 {
		if mc.Spec.Placement != v1alpha2.PlacementPack {
			return nil
		}
		return []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway}}
	}
	var constraints []corev1.TopologySpreadConstraint
	for i := range mc.Spec.Pod.TopologySpreadConstraints {
		constraint := mc.Spec.Pod.TopologySpreadConstraints[i].DeepCopy()
		if constraint.LabelSelector == nil {
			constraint.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha2.LabelHPASelector: mc.Name}}
		}
		constraints = append(constraints, *constraint)
	}
	return constraints
}

func restartPolicy(mc *v1alpha2.MiniCluster) corev1.RestartPolicy {
	if mc.Spec.Pod != nil && mc.Spec.Pod.RestartPolicy != "" {
		return mc.Spec.Pod.RestartPolicy
	}
	return corev1.RestartPolicyNever
}

func gracePeriodOf(mc *v1alpha2.MiniCluster) int64 {
	switch {
	case mc.Spec.Pod != nil && mc.Spec.Pod.TerminationGracePeriodSeconds != nil:
		return *mc.Spec.Pod.TerminationGracePeriodSeconds
	case mc.Spec.Archive != nil && mc.Spec.Archive.Path != "":
		return gracePeriodArchive
	default:
		return gracePeriod
	}
}

// CertificateSecretName returns the name of the Secret with the CURVE certificate: the user's or that of the
// controller.
func CertificateSecretName(mc *v1alpha2.MiniCluster) string {
	if mc.Spec.Flux != nil && mc.Spec.Flux.CurveCertSecret != "" {
		return mc.Spec.Flux.CurveCertSecret
	}
	return SecretName(mc)
}

// imagePullSecrets returns the pull secrets of all images of a pod.
func imagePullSecrets(mc *v1alpha2.MiniCluster, f Fixed, env Environment) []corev1.LocalObjectReference {
	var others []string
	if bringsView(mc, f) {
		others = append(others, view(mc).ImagePullSecret)
	}
	return pullSecretsOf(mc.Spec.Containers, append(others, env.Agent.PullSecrets...)...)
}

// pullSecretsOf returns the pull secrets of some containers' images, and others.
func pullSecretsOf(containers []v1alpha2.MiniClusterContainer, others ...string) []corev1.LocalObjectReference {
	var names []string
	for i := range containers {
		names = append(names, containers[i].ImagePullSecret)
	}
	var refs []corev1.LocalObjectReference
	for _, name := range append(names, others...) {
		ref := corev1.LocalObjectReference{Name: name}
		if name != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// affinity returns an affinity that prefers the placement of the spec within one zone, and that requires the node
// labels of the spec.
func affinity(mc *v1alpha2.MiniCluster) *corev1.Affinity {
	var a corev1.Affinity
	prefer := func(topology string) corev1.WeightedPodAffinityTerm {
		same := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha2.LabelName: mc.Name}}
		return corev1.WeightedPodAffinityTerm{Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: same, TopologyKey: topology}}
	}
	placement := mc.Spec.Placement
	if placement == "" && (mc.Spec.Network == nil || !mc.Spec.Network.DisableAffinity) {
		placement = v1alpha2.PlacementSpread
	}
	switch zone, node := prefer(corev1.LabelTopologyZone), prefer(corev1.LabelHostname); placement {
	case v1alpha2.PlacementSpread:
		a.PodAffinity = &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{zone}}
		a.PodAntiAffinity = &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{node}}
	case v1alpha2.PlacementPack:
		a.PodAffinity = &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{zone, node}}
	}
	if mc.Spec.Pod != nil && len(mc.Spec.Pod.NodeAffinity) > 0 {
		var wanted []corev1.NodeSelectorRequirement
		for _, label := range slices.Sorted(maps.Keys(mc.Spec.Pod.NodeAffinity)) {
			wanted = append(wanted, corev1.NodeSelectorRequirement{
				Key: label, Operator: corev1.NodeSelectorOpIn, Values: slices.Clone(mc.Spec.Pod.NodeAffinity[label]),
			})
		}
		a.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: wanted}},
		}}
	}
	if a == (corev1.Affinity{}) {
		return nil
	}
	return &a
}
