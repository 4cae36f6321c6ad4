package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

func validateContainers(mc *v1alpha2.MiniCluster, path *field.Path) field.ErrorList {
	containers := mc.Spec.Containers
	if len(containers) == 0 {
		return field.ErrorList{field.Required(path, "add the container that runs Flux")}
	}
	errs := validateFluxCount(containers, path)
	flux := mc.FluxContainerIndex()
	names := takenNames(mc)
	for i := range containers {
		c, at := &containers[i], path.Index(i)
		if i == flux || c.RunFlux {
			errs = append(errs, validateFluxContainer(c, at)...)
		} else {
			errs = append(errs, validateContainerName(c, names, at.Child("name"))...)
			errs = append(errs, validateSidecarPorts(c, at)...)
		}
		if c.Launcher && c.Batch {
			errs = append(errs, invalidf(at.Child("launcher"), c.Launcher, "launcher and batch exclude each other: remove one of them"))
		}
		errs = append(errs, validateContainer(c, mc.Spec.Pod, at)...)
	}
	return append(errs, validateVolumes(containers, flux, reservedBy(&mc.Spec), &mc.Spec, path)...)
}

func validateFluxCount(containers []v1alpha2.MiniClusterContainer, path *field.Path) field.ErrorList {
	if len(containers) == 1 {
		return nil
	}
	var errs field.ErrorList
	count := 0
	for i := range containers {
		if !containers[i].RunFlux {
			continue
		}
		if count++; count > 1 {
			errs = append(errs, invalidf(path.Index(i).Child("runFlux"), true,
				"exactly one container runs Flux, and an earlier one has runFlux, too: remove it here"))
		}
	}
	if count == 0 {
		errs = append(errs, field.Required(path, "exactly one of several containers must run Flux: set runFlux to true in one of them"))
	}
	return errs
}

// takenNames returns the names that a sidecar cannot have, each with its owner.
func takenNames(mc *v1alpha2.MiniCluster) map[string]string {
	names := map[string]string{
		mc.Name:        "the container that runs Flux, which is named after the MiniCluster",
		AgentContainer: "the container that installs the agent",
	}
	if fluxconfig.LayoutOf(&mc.Spec) == fluxconfig.LayoutView {
		names[viewName(&mc.Spec)] = "the container that provides Flux (spec.flux.container.name)"
	}
	return names
}

// validateContainerName checks the name of a container and adds it to those taken.
func validateContainerName(c *v1alpha2.MiniClusterContainer, taken map[string]string, path *field.Path) field.ErrorList {
	if c.Name == "" {
		return field.ErrorList{field.Required(path, "a container that does not run Flux needs a name")}
	}
	if owner, ok := taken[c.Name]; ok {
		return field.ErrorList{invalidf(path, c.Name, "is the name of %s: choose another name", owner)}
	}
	taken[c.Name] = "another container"
	return check(path, c.Name, validation.IsDNS1123Label)
}

func validateFluxContainer(c *v1alpha2.MiniClusterContainer, path *field.Path) field.ErrorList {
	if c.Command != "" && c.Commands != nil && c.Commands.Script != "" {
		return field.ErrorList{field.Invalid(path.Child("commands", "script"), field.OmitValueType{},
			"command and commands.script exclude each other in the container that runs Flux: remove one of them")}
	}
	return nil
}

// validateSidecarPorts checks what the Service of a sidecar with ports needs.
func validateSidecarPorts(c *v1alpha2.MiniClusterContainer, path *field.Path) field.ErrorList {
	if len(c.Ports) == 0 {
		return nil
	}
	var errs field.ErrorList
	if c.Name != "" && len(validation.IsDNS1123Label(c.Name)) == 0 && len(validation.IsDNS1035Label(c.Name)) > 0 {
		errs = append(errs, invalidf(path.Child("name"), c.Name,
			"a sidecar with ports gets a Service of its name, which must start with a letter: change the name or remove ports"))
	}
	seen := sets.New[int32]()
	for i, port := range c.Ports {
		if seen.Has(port) {
			errs = append(errs, field.Duplicate(path.Child("ports").Index(i), port))
		}
		seen.Insert(port)
	}
	return errs
}

func validateServices(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := map[string]string{}
	for i := range spec.Services {
		c, at := &spec.Services[i], path.Index(i)
		errs = append(errs, validateContainerName(c, names, at.Child("name"))...)
		errs = append(errs, validateServiceCommands(c, at)...)
		// The services pod has no claims.
		errs = append(errs, validateContainer(c, nil, at)...)
	}
	return append(errs, validateVolumes(spec.Services, -1, nil, spec, path)...)
}

func validateServiceCommands(c *v1alpha2.MiniClusterContainer, path *field.Path) field.ErrorList {
	const fix = "containers of the services pod do not run Flux: remove it"
	var errs field.ErrorList
	if c.PreCommand != "" {
		errs = append(errs, field.Forbidden(path.Child("preCommand"), fix))
	}
	if c.Commands == nil {
		return errs
	}
	hooks := map[string]string{"pre": c.Commands.Pre, "brokerPre": c.Commands.BrokerPre, "workerPre": c.Commands.WorkerPre}
	for _, name := range sortedKeys(hooks) {
		if hooks[name] != "" {
			errs = append(errs, field.Forbidden(path.Child("commands", name), fix))
		}
	}
	return errs
}

// validateContainer checks what all kinds of containers have in common. The claims
// of the container are claims of its pod.
func validateContainer(c *v1alpha2.MiniClusterContainer, pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	errs := validateImage(c.Image, path.Child("image"))
	errs = append(errs, validatePullPolicy(c.ImagePullPolicy, path.Child("imagePullPolicy"))...)
	errs = append(errs, reference(path.Child("imagePullSecret"), c.ImagePullSecret)...)
	errs = append(errs, validateEnvironment(c.Environment, path.Child("environment"))...)
	errs = append(errs, validateSecrets(c.Secrets, path.Child("secrets"))...)
	errs = append(errs, validatePorts(c.Ports, path.Child("ports"))...)
	errs = append(errs, validateResources(c.Resources, path.Child("resources"))...)
	errs = append(errs, validateContainerClaims(c, pod, path)...)
	errs = append(errs, notNegative(c.Cores, path.Child("cores"))...)
	errs = append(errs, validateSecurityContext(c.SecurityContext, path.Child("securityContext"))...)
	return append(errs, validateFluxUser(c.FluxUser, path.Child("fluxUser"))...)
}

func validatePullPolicy(policy corev1.PullPolicy, path *field.Path) field.ErrorList {
	known := []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	if policy != "" && !slices.Contains(known, policy) {
		return field.ErrorList{field.NotSupported(path, policy, known)}
	}
	return nil
}

func validateSecrets(secrets map[string]v1alpha2.SecretKey, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedKeys(secrets) {
		at := path.Key(name)
		errs = append(errs, validateEnvironmentName(name, at)...)
		errs = append(errs, requiredReference(at.Child("name"), secrets[name].Name, "the Secret that has the value")...)
		if key := secrets[name].Key; key == "" {
			errs = append(errs, field.Required(at.Child("key"), "name the key in the Secret"))
		} else {
			errs = append(errs, check(at.Child("key"), key, validation.IsConfigMapKey)...)
		}
	}
	return errs
}

func validatePorts(ports []int32, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range ports {
		for _, problem := range validation.IsValidPortNum(int(port)) {
			errs = append(errs, field.Invalid(path.Index(i), port, problem))
		}
	}
	return errs
}
