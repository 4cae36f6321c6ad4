package resources

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/pkg/validation"
)

const (
	// AgentContainer is the name of the init container that copies the agent into a pod.
	AgentContainer = validation.AgentContainer
	// agentPort is the name of the agent's port, for monitoring.
	agentPort = "agent"
	// agentUser is the user of containers that need no rights.
	agentUser int64 = 65532
)

// agentInit returns the init container that copies the agent to a volume that all containers of a pod mount.
func agentInit(mc *v1alpha2.MiniCluster, env Environment, resources corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name:            AgentContainer,
		Image:           agentImage(env),
		ImagePullPolicy: env.Agent.PullPolicy,
		Command:         []string{plan.AgentInImage, "install"},
		Resources:       resources,
		VolumeMounts:    []corev1.VolumeMount{{Name: sharedVolume, MountPath: plan.SharedDir}},
		SecurityContext: restricted(mc, numericUser),
	}
}

func agentImage(env Environment) string { return cmp.Or(env.Agent.Image, DefaultAgentImage) }

// agentCommand starts the agent in a container of a pod, with a subcommand. Where images are volumes, it makes what
// the init containers would make.
func agentCommand(env Environment, args ...string) []string {
	if !env.mountsImages() {
		return append([]string{plan.AgentPath}, args...)
	}
	return append([]string{plan.AgentImageDir + plan.AgentInImage, args[0], "--image-volumes"}, args[1:]...)
}

// agentImageVolume is the image of the agent. Its pull policy is that of an init container.
func agentImageVolume(env Environment) corev1.Volume {
	return corev1.Volume{Name: agentVolume, VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: agentImage(env), PullPolicy: env.Agent.PullPolicy},
	}}
}

func agentImageMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: agentVolume, MountPath: plan.AgentImageDir, ReadOnly: true}
}

// imageUser is the kind of user that an image runs as.
type imageUser bool

const (
	// numericUser is a user other than root, given as a number, as that of the agent's image.
	numericUser imageUser = true
	// unknownUser may be root, or a name, of which a kubelet can't know whether it is root's.
	unknownUser imageUser = false
)

// restricted returns a security context that passes the restricted level of Pod Security. It sets a user only
// where the image and the pod do not give one that suffices: a platform that assigns
// users, as OpenShift does, rejects all others.
func restricted(mc *v1alpha2.MiniCluster, image imageUser) *corev1.SecurityContext {
	s := &corev1.SecurityContext{
		RunAsNonRoot:             new(true),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	user := podUser(mc)
	if (user == nil && image == unknownUser) || (user != nil && *user == 0) {
		s.RunAsUser, s.RunAsGroup = new(agentUser), new(agentUser)
	}
	return s
}

// podUser returns the user that the spec sets for all containers of a pod; nil where it
// sets none.
func podUser(mc *v1alpha2.MiniCluster) *int64 {
	if mc.Spec.Pod == nil || mc.Spec.Pod.SecurityContext == nil {
		return nil
	}
	return mc.Spec.Pod.SecurityContext.RunAsUser
}

// readiness returns a probe that asks the agent whether its broker is online. It never gives up, since a follower
// waits for its lead. Kubernetes allows no period shorter than a second.
//
// There is no liveness probe: the agent itself restarts a broker that ends, and keeps its state. A kubelet that kills
// the container would lose the jobs.
func readiness(mc *v1alpha2.MiniCluster) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/readyz", Port: intstr.FromInt32(fluxconfig.HTTPPort(mc)), Scheme: corev1.URISchemeHTTP,
		}},
		PeriodSeconds:    1,
		TimeoutSeconds:   3,
		SuccessThreshold: 1,
		FailureThreshold: 3,
	}
}
