package resources

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// role is the purpose of a container in the pods of a MiniCluster.
type role int

const (
	// roleFlux runs the agent, which runs Flux.
	roleFlux role = iota
	// roleWrapped is a sidecar that the agent runs.
	roleWrapped
	// roleUnwrapped is a sidecar that runs its image's entrypoint.
	roleUnwrapped
)

// roleOf returns the role of a container of the spec.
func roleOf(mc *v1alpha2.MiniCluster, index int) role {
	switch {
	case index == mc.FluxContainerIndex():
		return roleFlux
	case fluxconfig.Wrapped(&mc.Spec.Containers[index]):
		return roleWrapped
	default:
		return roleUnwrapped
	}
}

// buildContainer builds one container of a MiniCluster's pods. The container that runs Flux has the name of the
// MiniCluster.
func buildContainer(mc *v1alpha2.MiniCluster, f Fixed, env Environment, index int) corev1.Container {
	in := &mc.Spec.Containers[index]
	out := baseContainer(in)
	part := roleOf(mc, index)
	stop := corev1.SIGTERM
	switch part {
	case roleFlux:
		out.Name = mc.Name
		out.Command = agentCommand(env, "run")
		out.ReadinessProbe = readiness(mc)
		out.Ports = append(out.Ports, corev1.ContainerPort{
			Name: agentPort, ContainerPort: fluxconfig.HTTPPort(mc), Protocol: corev1.ProtocolTCP,
		})
		out.Ports = append(out.Ports, hostPorts(mc, in)...)
	case roleWrapped:
		out.Command = agentCommand(env, "sidecar", "--container", in.Name)
	case roleUnwrapped: // the entrypoint of its image
		stop = ""
	}
	setStopSignal(&out, mc.Spec.Pod, stop)
	if part != roleUnwrapped {
		markPreStop(out.Lifecycle)
	}
	out.VolumeMounts = slices.Concat(fluxVolumeMounts(mc, f, env, part, in), userMounts(in))
	return out
}

// hostPorts returns the ports that the containers use in the network of the host. The scheduler needs them so that no
// node runs two pods that listen on the same port.
func hostPorts(mc *v1alpha2.MiniCluster, flux *v1alpha2.MiniClusterContainer) []corev1.ContainerPort {
	if mc.Spec.Pod == nil || !mc.Spec.Pod.HostNetwork || slices.Contains(flux.Ports, v1alpha2.DefaultBrokerPort) {
		return nil
	}
	return []corev1.ContainerPort{{Name: "broker", ContainerPort: v1alpha2.DefaultBrokerPort, Protocol: corev1.ProtocolTCP}}
}

// setStopSignal sets the stop signal of a container. The user's choice applies to containers that run the entrypoint
// of their image. Other containers need signal: the agent stops Flux on SIGTERM, whatever the image says.
func setStopSignal(c *corev1.Container, pod *v1alpha2.PodSpec, signal corev1.Signal) {
	if pod == nil || pod.StopSignal == "" {
		return
	}
	if c.Lifecycle == nil {
		c.Lifecycle = &corev1.Lifecycle{}
	}
	c.Lifecycle.StopSignal = new(cmp.Or(signal, corev1.Signal(pod.StopSignal)))
}

// baseContainer returns the parts that all kinds of containers have in common. No container has a terminal, since a
// terminal changes the output of a program in the log.
func baseContainer(in *v1alpha2.MiniClusterContainer) corev1.Container {
	out := corev1.Container{
		Name:            in.Name,
		Image:           in.Image,
		ImagePullPolicy: pullPolicy(in),
		WorkingDir:      in.WorkingDir,
		Env:             environment(in),
		Lifecycle:       lifecycle(in.LifeCycle),
		SecurityContext: securityContext(in.SecurityContext),
	}
	if in.Resources != nil {
		out.Resources = *in.Resources.DeepCopy()
	}
	for _, port := range in.Ports {
		out.Ports = append(out.Ports, corev1.ContainerPort{ContainerPort: port, Protocol: corev1.ProtocolTCP})
	}
	return out
}

// lifecycle returns hooks that a shell runs, since the spec has them as shell commands.
func lifecycle(in *v1alpha2.LifeCycle) *corev1.Lifecycle {
	if in == nil || *in == (v1alpha2.LifeCycle{}) {
		return nil
	}
	return &corev1.Lifecycle{PostStart: shellHook(in.PostStartExec), PreStop: shellHook(in.PreStopExec)}
}

// markPreStop extends the preStop hook of a container that runs the agent: the hook writes a file when it starts,
// which is when the grace period starts. SIGTERM follows when the hook has ended. A container that cannot write the
// file loses only this information.
func markPreStop(hooks *corev1.Lifecycle) {
	if hooks == nil || hooks.PreStop == nil {
		return
	}
	command := hooks.PreStop.Exec.Command
	last := len(command) - 1
	command[last] = "(: >>" + plan.MarkerDir + "/" + plan.FilePreStop + ") 2>/dev/null\n" + command[last]
}

func shellHook(command string) *corev1.LifecycleHandler {
	if command == "" {
		return nil
	}
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", command}}}
}

func pullPolicy(c *v1alpha2.MiniClusterContainer) corev1.PullPolicy {
	switch {
	case c.PullAlways:
		return corev1.PullAlways
	case c.ImagePullPolicy != "":
		return c.ImagePullPolicy
	default:
		return corev1.PullIfNotPresent
	}
}

// environment returns variables in the order of their names, so that the same spec always results in the same pods.
func environment(c *v1alpha2.MiniClusterContainer) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		env = append(env, corev1.EnvVar{Name: name, Value: c.Environment[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		key := c.Secrets[name]
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key,
		}}})
	}
	return env
}

// securityContext adds the capabilities of v1alpha1's separate field to the security context.
func securityContext(in *v1alpha2.SecurityContext) *corev1.SecurityContext {
	if in == nil {
		return nil
	}
	out := in.SecurityContext.DeepCopy()
	if len(in.AddCapabilities) > 0 {
		if out.Capabilities == nil {
			out.Capabilities = &corev1.Capabilities{}
		}
		out.Capabilities.Add = append(out.Capabilities.Add, in.AddCapabilities...)
	}
	return out
}
