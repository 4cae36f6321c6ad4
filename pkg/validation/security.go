package validation

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

const (
	maxSysctl          = 253
	maxAppArmorProfile = 4095
	capSysAdmin        = "CAP_SYS_ADMIN"
)

// sysctlName is the pattern of names in Kubernetes.
var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

// validatePodSecurity checks spec.pod.securityContext.
func validatePodSecurity(pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	s := pod.SecurityContext
	if s == nil {
		return nil
	}
	errs := validateUser(s.RunAsUser, path.Child("runAsUser"))
	errs = append(errs, validateGroup(s.RunAsGroup, path.Child("runAsGroup"))...)
	errs = append(errs, validateGroup(s.FSGroup, path.Child("fsGroup"))...)
	for i := range s.SupplementalGroups {
		errs = append(errs, validateGroup(&s.SupplementalGroups[i], path.Child("supplementalGroups").Index(i))...)
	}
	errs = append(errs, oneOf(s.FSGroupChangePolicy, path.Child("fsGroupChangePolicy"), corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	errs = append(errs, oneOf(s.SupplementalGroupsPolicy, path.Child("supplementalGroupsPolicy"),
		corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	errs = append(errs, oneOf(s.SELinuxChangePolicy, path.Child("seLinuxChangePolicy"), corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)...)
	errs = append(errs, validateSysctls(s.Sysctls, pod, path.Child("sysctls"))...)
	errs = append(errs, validateWindows(s.WindowsOptions, path.Child("windowsOptions"))...)
	errs = append(errs, validateSeccomp(s.SeccompProfile, path.Child("seccompProfile"))...)
	return append(errs, validateAppArmor(s.AppArmorProfile, path.Child("appArmorProfile"))...)
}

// validateSecurityContext checks the security context of a container.
func validateSecurityContext(s *v1alpha2.SecurityContext, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := validateUser(s.RunAsUser, path.Child("runAsUser"))
	errs = append(errs, validateGroup(s.RunAsGroup, path.Child("runAsGroup"))...)
	if s.ProcMount != nil && *s.ProcMount == corev1.UnmaskedProcMount {
		errs = append(errs, field.Invalid(path.Child("procMount"), *s.ProcMount, "needs a user namespace, which the pods of a MiniCluster do not have: remove it"))
	} else {
		errs = append(errs, oneOf(s.ProcMount, path.Child("procMount"), corev1.DefaultProcMount)...)
	}
	if s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		const fix = "excludes %s: remove one of them"
		if s.Privileged != nil && *s.Privileged {
			errs = append(errs, invalidf(path.Child("allowPrivilegeEscalation"), false, fix, "privileged"))
		}
		add := s.AddCapabilities
		if s.Capabilities != nil {
			add = append(slices.Clone(add), s.Capabilities.Add...)
		}
		if slices.Contains(add, capSysAdmin) {
			errs = append(errs, invalidf(path.Child("allowPrivilegeEscalation"), false, fix, "the capability "+capSysAdmin))
		}
	}
	errs = append(errs, validateWindows(s.WindowsOptions, path.Child("windowsOptions"))...)
	errs = append(errs, validateSeccomp(s.SeccompProfile, path.Child("seccompProfile"))...)
	return append(errs, validateAppArmor(s.AppArmorProfile, path.Child("appArmorProfile"))...)
}

func validateUser(id *int64, path *field.Path) field.ErrorList {
	return checkID(id, path, validation.IsValidUserID)
}

func validateGroup(id *int64, path *field.Path) field.ErrorList {
	return checkID(id, path, validation.IsValidGroupID)
}

func checkID(id *int64, path *field.Path, problems func(int64) []string) field.ErrorList {
	if id == nil {
		return nil
	}
	var errs field.ErrorList
	for _, problem := range problems(*id) {
		errs = append(errs, field.Invalid(path, *id, problem))
	}
	return errs
}

// oneOf checks that a value, if it is set, is a known one.
func oneOf[T ~string](value *T, path *field.Path, known ...T) field.ErrorList {
	if value == nil || slices.Contains(known, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *value, known)}
}

func validateSysctls(sysctls []corev1.Sysctl, pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, s := range sysctls {
		at := path.Index(i).Child("name")
		switch {
		case len(s.Name) > maxSysctl || !sysctlName.MatchString(s.Name):
			errs = append(errs, field.Invalid(at, s.Name, "must be the name of a sysctl, for example net.core.somaxconn"))
		case seen.Has(s.Name):
			errs = append(errs, field.Duplicate(at, s.Name))
		case pod.HostNetwork && strings.HasPrefix(strings.ReplaceAll(s.Name, "/", "."), "net."):
			errs = append(errs, field.Invalid(at, s.Name, "belongs to the host with spec.pod.hostNetwork: remove one of them"))
		case pod.HostIPC && isIPCSysctl(s.Name):
			errs = append(errs, field.Invalid(at, s.Name, "belongs to the host with spec.pod.hostIPC: remove one of them"))
		}
		seen.Insert(s.Name)
	}
	return errs
}

// isIPCSysctl reports whether a sysctl belongs to the IPC namespace, as listed by
// ipc_namespaces(7).
func isIPCSysctl(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	return strings.HasPrefix(name, "fs.mqueue.") || strings.HasPrefix(name, "kernel.msg") ||
		strings.HasPrefix(name, "kernel.shm") || name == "kernel.sem"
}

func validateWindows(options *corev1.WindowsSecurityContextOptions, path *field.Path) field.ErrorList {
	if options == nil {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, "Flux runs on Linux only: remove it")}
}

func validateSeccomp(profile *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	if profile == nil {
		return nil
	}
	errs := oneOf(&profile.Type, path.Child("type"),
		corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	errs = append(errs, localhostProfile(profile.Type == corev1.SeccompProfileTypeLocalhost, profile.LocalhostProfile, path.Child("localhostProfile"))...)
	if profile.LocalhostProfile != nil {
		errs = append(errs, relativePath(*profile.LocalhostProfile, path.Child("localhostProfile"))...)
	}
	return errs
}

func validateAppArmor(profile *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	if profile == nil {
		return nil
	}
	errs := oneOf(&profile.Type, path.Child("type"),
		corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	at := path.Child("localhostProfile")
	errs = append(errs, localhostProfile(profile.Type == corev1.AppArmorProfileTypeLocalhost, profile.LocalhostProfile, at)...)
	if p := profile.LocalhostProfile; p != nil && (strings.TrimSpace(*p) != *p || *p == "" || len(*p) > maxAppArmorProfile) {
		errs = append(errs, invalidf(at, *p, "must be a name of 1 to %d characters, without blanks around it", maxAppArmorProfile))
	}
	return errs
}

// localhostProfile checks that a profile has a name if and only if its type is
// Localhost.
func localhostProfile(wanted bool, profile *string, path *field.Path) field.ErrorList {
	switch {
	case wanted && profile == nil:
		return field.ErrorList{field.Required(path, "name the profile of the node, or choose another type")}
	case !wanted && profile != nil:
		return field.ErrorList{field.Forbidden(path, "only the type Localhost has it: remove it, or set type to Localhost")}
	}
	return nil
}
