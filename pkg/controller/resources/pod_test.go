package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// podOf builds the pods of a MiniCluster in an environment and checks what holds for all pods.
func podOf(t *testing.T, env Environment, mods ...func(*v1alpha2.MiniCluster)) corev1.PodSpec {
	t.Helper()
	mc := sample.MiniCluster(mods...)
	spec := buildPodSpec(mc, NewFixed(mc), env)
	checkPod(t, mc, &spec)
	return spec
}

// checkPod checks for errors that an API server rejects or that would surprise users: duplicate names and
// directories, mounts of missing volumes, unused volumes, no container that runs Flux.
func checkPod(t require.TestingT, mc *v1alpha2.MiniCluster, spec *corev1.PodSpec) {
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		require.NotContains(t, volumes, v.Name, "two volumes with the same name")
		volumes[v.Name] = false
	}
	containers := map[string]bool{}
	for _, c := range append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...) {
		require.NotContains(t, containers, c.Name, "two containers with the same name")
		containers[c.Name] = true
		dirs := map[string]bool{}
		for _, m := range c.VolumeMounts {
			require.Contains(t, volumes, m.Name, "container %s mounts a volume that does not exist", c.Name)
			require.NotContains(t, dirs, m.MountPath, "container %s mounts two volumes at the same path", c.Name)
			volumes[m.Name], dirs[m.MountPath] = true, true
		}
		if ready := c.ReadinessProbe; ready != nil {
			require.Equal(t, mc.Name, c.Name, "only the Flux container reports the broker")
		}
	}
	for name, mounted := range volumes {
		require.True(t, mounted, "no container mounts volume %s", name)
	}
	require.True(t, containers[mc.Name], "no container runs Flux")
	require.Nil(t, spec.Overhead, "a pod without a runtime class must not have an overhead")
}

func container(t *testing.T, spec corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		if c.Name == name {
			return c
		}
	}
	require.Failf(t, "the container does not exist", "%s", name)
	return corev1.Container{}
}

func mountsOf(c corev1.Container) map[string]string {
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.MountPath] = m.Name
	}
	return mounts
}

func withSidecars(mc *v1alpha2.MiniCluster) {
	mc.Spec.Containers[0].RunFlux = true
	mc.Spec.Containers = append(mc.Spec.Containers,
		v1alpha2.MiniClusterContainer{Name: "wrapped", Image: "a", Command: "serve", Ports: []int32{plan.DefaultHTTPPort}},
		v1alpha2.MiniClusterContainer{Name: "own", Image: "nginx", ImagePullSecret: "nginx", LifeCycle: &v1alpha2.LifeCycle{PreStopExec: "nginx -s quit"}},
	)
}

func withView(view v1alpha2.FluxContainer) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &view} }
}

func TestAgentInit(t *testing.T) {
	env := Environment{Agent: AgentImage{Image: "registry/agent:1", PullPolicy: corev1.PullNever, PullSecrets: []string{"registry", "other"}}}
	spec := podOf(t, env, sample.WithInstallRoot, func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].ImagePullSecret = "registry" })
	require.Len(t, spec.InitContainers, 1, "in the system layout Flux is in the image")
	agent := spec.InitContainers[0]
	assert.Equal(t, "registry/agent:1", agent.Image)
	assert.Equal(t, corev1.PullNever, agent.ImagePullPolicy)
	assert.Equal(t, []string{"/minicluster-agent", "install"}, agent.Command)
	assert.Equal(t, agent.Resources.Requests, agent.Resources.Limits, "a Guaranteed pod stays Guaranteed")
	assert.Equal(t, map[string]string{plan.SharedDir: sharedVolume}, mountsOf(agent), "the content is not secret")
	assert.True(t, *agent.SecurityContext.RunAsNonRoot && *agent.SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, []corev1.LocalObjectReference{{Name: "registry"}, {Name: "other"}}, spec.ImagePullSecrets, "each once")
	assert.Equal(t, DefaultAgentImage, podOf(t, Environment{}).InitContainers[0].Image)

	flux := container(t, spec, "flux-sample")
	assert.Equal(t, []string{plan.AgentPath, "run"}, flux.Command)
	assert.False(t, flux.TTY || flux.Stdin, "a terminal would change the output")
	assert.Nil(t, flux.LivenessProbe)
	assert.Equal(t, int32(1), flux.ReadinessProbe.PeriodSeconds)
	assert.Zero(t, flux.ReadinessProbe.InitialDelaySeconds)
}

// TestSystemLayoutMounts checks that no mount hides /etc/flux of the image.
func TestSystemLayoutMounts(t *testing.T) {
	spec := podOf(t, testEnvironment, sample.WithInstallRoot, withSidecars)
	flux := mountsOf(container(t, spec, "flux-sample"))
	for _, dir := range []string{"/etc/flux/config", "/etc/flux/system", "/run/flux", "/var/lib/flux"} {
		assert.Equal(t, sharedVolume, flux[dir], dir)
	}
	assert.NotContains(t, flux, "/etc/flux")
	assert.Equal(t, curveVolume, flux[plan.CertificateDir])
	assert.Equal(t, curveCopyVolume, flux[plan.CurveDir])
	for _, sidecar := range []string{"wrapped", "own"} {
		mounts := mountsOf(container(t, spec, sidecar))
		assert.Equal(t, sharedVolume, mounts["/run/flux"], "the directory of the broker's socket")
		assert.NotContains(t, mounts, plan.CertificateDir, "no sidecar has the certificate")
		assert.NotContains(t, mounts, plan.CurveDir, "nor its copy")
		assert.NotContains(t, mounts, "/var/lib/flux")
	}

	own := podOf(t, testEnvironment, sample.WithInstallRoot, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"state": {Path: "/var/lib/flux/", ClaimName: "c"}}
	})
	assert.NotContains(t, mountsOf(container(t, own, "flux-sample")), "/var/lib/flux", "the user's own volume takes precedence")
}

func TestViewLayout(t *testing.T) {
	spec := podOf(t, testEnvironment, withSidecars, withView(v1alpha2.FluxContainer{
		Image: "view:1", Name: "my-view", MountPath: "/opt/flux", PullAlways: true, ImagePullSecret: "view-registry", WorkingDir: "/work",
		SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(7))},
	}))
	require.Len(t, spec.InitContainers, 3)
	v := spec.InitContainers[1]
	assert.Equal(t, "my-view", v.Name)
	assert.Equal(t, "view:1", v.Image)
	assert.Equal(t, corev1.PullAlways, v.ImagePullPolicy)
	assert.Equal(t, "/work", v.WorkingDir)
	assert.Equal(t, int64(7), *v.SecurityContext.RunAsUser)
	assert.Equal(t, []string{plan.AgentPath, "view"}, v.Command, "no shell is needed")
	assert.Equal(t, "my-view", mountsOf(v)["/opt/flux"])
	assert.Contains(t, spec.ImagePullSecrets, corev1.LocalObjectReference{Name: "view-registry"})
	for _, name := range []string{"flux-sample", "wrapped", "own"} {
		mounts := mountsOf(container(t, spec, name))
		assert.Equal(t, "my-view", mounts["/opt/flux"], name)
		assert.Equal(t, "my-view", mounts[plan.SoftwareDir], name)
		assert.NotContains(t, mounts, "/run/flux", name)
	}

	for _, mod := range []func(*v1alpha2.MiniCluster){
		func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Pod = &v1alpha2.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true)}}
		},
		func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].SecurityContext = &v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsNonRoot: new(true)}}
		},
	} {
		view := podOf(t, testEnvironment, mod).InitContainers[1].SecurityContext
		assert.Equal(t, restricted(sample.MiniCluster(mod), unknownUser), view)
		assert.Equal(t, agentUser, *view.RunAsUser, "the image's own user is root")
	}
	assert.Nil(t, podOf(t, testEnvironment).InitContainers[1].SecurityContext)

	disabled := podOf(t, testEnvironment, withView(v1alpha2.FluxContainer{Disable: true}))
	assert.Len(t, disabled.InitContainers, 1)
	mounts := mountsOf(container(t, disabled, "flux-sample"))
	assert.Equal(t, "flux-view", mounts["/mnt/flux"], "the directory of the brokers' files")
	assert.NotContains(t, mounts, plan.SoftwareDir, "the image contains it")
}

// TestImageVolumes: the images of the agent and of the view are mounted, and no init container runs.
func TestImageVolumes(t *testing.T) {
	env := testEnvironment
	env.ImageVolumes = true
	view := withView(v1alpha2.FluxContainer{Image: "view:1", PullAlways: true})
	wrapped := func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "wrapped", Image: "a", Command: "serve"})
	}
	spec := podOf(t, env, view, wrapped)
	assert.Empty(t, spec.InitContainers)
	images := map[string]corev1.ImageVolumeSource{}
	for _, volume := range spec.Volumes {
		if volume.Image != nil {
			images[volume.Name] = *volume.Image
		}
	}
	assert.Equal(t, map[string]corev1.ImageVolumeSource{
		agentVolume:     {Reference: env.Agent.Image, PullPolicy: env.Agent.PullPolicy},
		viewImageVolume: {Reference: "view:1", PullPolicy: corev1.PullAlways},
	}, images)
	program := plan.AgentImageDir + plan.AgentInImage
	for name, command := range map[string][]string{
		"flux-sample": {program, "run", "--image-volumes"},
		"wrapped":     {program, "sidecar", "--image-volumes", "--container", "wrapped"},
	} {
		c := container(t, spec, name)
		assert.Equal(t, command, c.Command)
		assert.Equal(t, agentVolume, mountsOf(c)[plan.AgentImageDir])
		assert.Equal(t, viewImageVolume, mountsOf(c)[plan.ViewImageDir])
	}

	system := podOf(t, env, sample.WithInstallRoot)
	assert.Empty(t, system.InitContainers)
	assert.NotContains(t, mountsOf(container(t, system, "flux-sample")), plan.ViewImageDir)

	// A container without the agent may use the view at once: an init container links it, but runs nothing of the view.
	own := podOf(t, env, view, withSidecars)
	require.Len(t, own.InitContainers, 2)
	v := own.InitContainers[0]
	assert.Equal(t, env.Agent.Image, v.Image)
	assert.Equal(t, []string{plan.AgentInImage, "view", "--image", plan.ViewImageDir}, v.Command)
	assert.True(t, *v.SecurityContext.RunAsNonRoot)
	assert.NotContains(t, mountsOf(container(t, own, "own")), plan.AgentImageDir)

	env.ServerMinor = minorImageVolumes - 1
	copied := env
	copied.ImageVolumes = false
	assert.Equal(t, podOf(t, copied, view), podOf(t, env, view), "copied where the server has no image volumes")
}

// TestSidecars checks that the agent runs sidecars with a command, and that the other sidecars end after the cluster.
func TestSidecars(t *testing.T) {
	spec := podOf(t, testEnvironment, sample.WithInstallRoot, withSidecars)
	require.Len(t, spec.Containers, 2)
	wrapped := spec.Containers[1]
	assert.Equal(t, []string{plan.AgentPath, "sidecar", "--container", "wrapped"}, wrapped.Command)
	assert.Equal(t, plan.DefaultHTTPPort+2, spec.Containers[0].ReadinessProbe.HTTPGet.Port.IntVal, "a sidecar has the usual port")
	own := spec.InitContainers[1]
	assert.Equal(t, "own", own.Name)
	assert.Equal(t, corev1.ContainerRestartPolicyAlways, *own.RestartPolicy)
	assert.Empty(t, own.Command, "its image's entrypoint")
	assert.Equal(t, []string{"/bin/sh", "-c", "nginx -s quit"}, own.Lifecycle.PreStop.Exec.Command, "a single word, as flux-operator writes it")
	assert.Nil(t, own.Lifecycle.PostStart)
	hooks := lifecycle(&v1alpha2.LifeCycle{PreStopExec: "sleep 3"})
	markPreStop(hooks)
	assert.Equal(t, []string{"/bin/sh", "-c", "(: >>/opt/minicluster/run/prestop) 2>/dev/null\nsleep 3"}, hooks.PreStop.Exec.Command, "for the agent")

	old := podOf(t, Environment{ServerMinor: minorNativeSidecars - 1}, sample.WithInstallRoot, withSidecars)
	assert.Len(t, old.Containers, 3, "an older server would ignore the restart policy and wait for the container to end")
	assert.Nil(t, old.Containers[2].RestartPolicy)
}

func TestSharedMemory(t *testing.T) {
	flux := func(mods ...func(*v1alpha2.MiniCluster)) map[string]string {
		return mountsOf(container(t, podOf(t, testEnvironment, mods...), "flux-sample"))
	}
	assert.Equal(t, memoryVolume, flux()["/dev/shm"])
	own := func(v v1alpha2.ContainerVolume) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"own": v}
		}
	}
	assert.Equal(t, "own", flux(own(v1alpha2.ContainerVolume{EmptyDir: true}))["/dev/shm"], "the path where flux-operator mounts it")
	assert.Equal(t, "own", flux(own(v1alpha2.ContainerVolume{EmptyDir: true, Path: "/dev/shm"}))["/dev/shm"])
	elsewhere := flux(own(v1alpha2.ContainerVolume{EmptyDir: true, Path: "/scratch"}))
	assert.Equal(t, "own", elsewhere["/scratch"], "its path takes precedence")
	assert.Equal(t, memoryVolume, elsewhere["/dev/shm"])
	assert.NotContains(t, flux(func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{HostIPC: true} }), "/dev/shm", "the host's")
}

func TestMungeAndState(t *testing.T) {
	spec := podOf(t, testEnvironment, withSidecars, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux = &v1alpha2.FluxSpec{MungeSecret: "munge", State: &v1alpha2.FluxState{ClaimName: "state", SubPath: "a"}}
	})
	flux := container(t, spec, "flux-sample")
	assert.Equal(t, mungeVolume, mountsOf(flux)["/etc/munge"])
	assert.Equal(t, stateVolume, mountsOf(flux)[plan.StateVolumeDir])
	assert.Equal(t, "a", flux.VolumeMounts[len(flux.VolumeMounts)-1].SubPath)
	assert.NotContains(t, mountsOf(container(t, spec, "own")), "/etc/munge")
}

func TestPodAnnotations(t *testing.T) {
	mc := sample.MiniCluster()
	assert.Equal(t, map[string]string{
		"kubectl.kubernetes.io/default-container":        "flux-sample",
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		"karpenter.sh/do-not-disrupt":                    "true",
	}, podAnnotations(mc))
	mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{
		"kubectl.kubernetes.io/default-container":        "own",
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
		"karpenter.sh/do-not-disrupt":                    "false",
		"a":                                              "b",
	}}
	assert.Equal(t, mc.Spec.Pod.Annotations, podAnnotations(mc), "the user's own")
}

// TestExitCodes checks that the exit codes of the agent do not count as the application's. Kubernetes requires
// ascending order.
func TestExitCodes(t *testing.T) {
	rules := podFailurePolicy(sample.MiniCluster()).Rules
	assert.Equal(t, batchv1.PodFailurePolicyActionCount, rules[1].Action)
	assert.Equal(t, []int32{137, plan.ExitStopped, plan.ExitPrepare, plan.ExitBroker, plan.ExitHook}, rules[1].OnExitCodes.Values)
	assert.IsIncreasing(t, rules[1].OnExitCodes.Values)
}

// TestSecurityContext checks the whole security context, not only fsGroup.
func TestSecurityContext(t *testing.T) {
	want := &corev1.PodSecurityContext{RunAsUser: new(int64(1000)), RunAsNonRoot: new(true), FSGroup: new(int64(5)), SupplementalGroups: []int64{6}}
	spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{SecurityContext: want} })
	assert.Equal(t, want, spec.SecurityContext)
}

// TestNodeAffinityStays checks that the required node affinity applies even without the spread over nodes.
func TestNodeAffinityStays(t *testing.T) {
	spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Network = &v1alpha2.Network{DisableAffinity: true}
		mc.Spec.Pod = &v1alpha2.PodSpec{NodeAffinity: map[string][]string{"a": {"b"}}}
	})
	assert.Nil(t, spec.Affinity.PodAffinity)
	assert.NotNil(t, spec.Affinity.NodeAffinity)
}

func TestPlacement(t *testing.T) {
	topologies := func(terms []corev1.WeightedPodAffinityTerm) (all []string) {
		for _, term := range terms {
			all = append(all, term.PodAffinityTerm.TopologyKey)
		}
		return all
	}
	zone, node := corev1.LabelTopologyZone, corev1.LabelHostname
	for _, tc := range []struct {
		placement   v1alpha2.Placement
		disable     bool
		near, apart []string
	}{
		{"", false, []string{zone}, []string{node}},
		{"", true, nil, nil},
		{v1alpha2.PlacementSpread, false, []string{zone}, []string{node}},
		{v1alpha2.PlacementSpread, true, []string{zone}, []string{node}},
		{v1alpha2.PlacementPack, false, []string{zone, node}, nil},
		{v1alpha2.PlacementPack, true, []string{zone, node}, nil},
	} {
		spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Placement, mc.Spec.Network = tc.placement, &v1alpha2.Network{DisableAffinity: tc.disable}
		})
		var near, apart []string
		if a := spec.Affinity; a != nil {
			if a.PodAffinity != nil {
				near = topologies(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
			}
			if a.PodAntiAffinity != nil {
				apart = topologies(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
			}
		}
		assert.Equal(t, tc.near, near, "%+v", tc)
		assert.Equal(t, tc.apart, apart, "%+v", tc)
		// Any constraint turns off the default constraints of the scheduler.
		assert.Equal(t, tc.placement == v1alpha2.PlacementPack, len(spec.TopologySpreadConstraints) == 1, "%+v", tc)
	}
	constraints := []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: zone, WhenUnsatisfiable: corev1.DoNotSchedule}}
	spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Placement, mc.Spec.Pod = v1alpha2.PlacementPack, &v1alpha2.PodSpec{TopologySpreadConstraints: constraints}
	})
	require.Len(t, spec.TopologySpreadConstraints, 1)
	assert.Equal(t, zone, spec.TopologySpreadConstraints[0].TopologyKey, "those of the user apply alone")
}

// TestPodNetwork checks pods in the network of the host: brokers find each other by the DNS of the cluster, and no
// node runs two of them.
func TestPodNetwork(t *testing.T) {
	with := func(pod v1alpha2.PodSpec, ports ...int32) corev1.PodSpec {
		return podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Pod, mc.Spec.Containers[0].Ports = &pod, ports
		})
	}
	ports := func(spec corev1.PodSpec) []int32 {
		var ports []int32
		for _, port := range container(t, spec, "flux-sample").Ports {
			ports = append(ports, port.ContainerPort)
		}
		return ports
	}
	own := with(v1alpha2.PodSpec{})
	assert.False(t, own.HostNetwork)
	assert.Empty(t, own.DNSPolicy)
	assert.Equal(t, []int32{9560}, ports(own))
	host := with(v1alpha2.PodSpec{HostNetwork: true})
	assert.True(t, host.HostNetwork)
	assert.Equal(t, corev1.DNSClusterFirstWithHostNet, host.DNSPolicy)
	assert.Equal(t, []int32{9560, 8050}, ports(host))
	chosen := with(v1alpha2.PodSpec{HostNetwork: true, DNSPolicy: corev1.DNSDefault}, 8050)
	assert.Equal(t, corev1.DNSDefault, chosen.DNSPolicy)
	assert.Equal(t, []int32{8050, 9560}, ports(chosen), "each once")
}

// TestSpreadConstraints checks that a constraint without a selector counts the pods of the cluster.
func TestSpreadConstraints(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "hpc"}}
	spec := podOf(t, testEnvironment, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
			{MaxSkew: 1, TopologyKey: "zone"}, {MaxSkew: 2, TopologyKey: "rack", LabelSelector: selector},
		}}
	})
	require.Len(t, spec.TopologySpreadConstraints, 2)
	assert.Equal(t, map[string]string{"hpa-selector": "flux-sample"}, spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels)
	assert.Equal(t, selector, spec.TopologySpreadConstraints[1].LabelSelector)
}

// TestStopSignal checks that the user's signal applies to containers that run the entrypoint of their image, and that
// SIGTERM stops the agent whatever its image says.
func TestStopSignal(t *testing.T) {
	mods := []func(*v1alpha2.MiniCluster){withSidecars, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{StopSignal: "SIGQUIT"}
		mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", LifeCycle: &v1alpha2.LifeCycle{PreStopExec: "sync"}}}
	}}
	mc := sample.MiniCluster(mods...)
	spec := podOf(t, testEnvironment, mods...)
	assert.Equal(t, corev1.Linux, spec.OS.Name)
	got := map[corev1.Signal]int{}
	for i := range mc.Spec.Containers {
		name := mc.Spec.Containers[i].Name
		if i == mc.FluxContainerIndex() {
			name = mc.Name
		}
		c := container(t, spec, name)
		want := corev1.SIGTERM
		if roleOf(mc, i) == roleUnwrapped {
			want = corev1.SIGQUIT
		}
		assert.Equal(t, want, *c.Lifecycle.StopSignal, name)
		got[want]++
	}
	assert.Len(t, got, 2, "containers of both kinds")
	services := BuildServicesPod(mc, NewFixed(mc))
	assert.Equal(t, corev1.SIGQUIT, *services.Spec.Containers[0].Lifecycle.StopSignal)
	assert.NotNil(t, services.Spec.Containers[0].Lifecycle.PreStop)
	assert.Nil(t, container(t, podOf(t, testEnvironment), "flux-sample").Lifecycle)
}

// TestJobAnnotations checks that annotations of the controller take precedence.
func TestJobAnnotations(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.JobAnnotations = map[string]string{"a": "b", v1alpha2.AnnotationAppliedSize: "77"}
	})
	job, err := BuildJob(mc, NewFixed(mc), testEnvironment, 4)
	require.NoError(t, err)
	assert.Equal(t, "b", job.Annotations["a"])
	assert.Equal(t, "4", job.Annotations[v1alpha2.AnnotationAppliedSize])
}
