package validation

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func validatePod(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	pod := spec.Pod
	if pod == nil {
		return nil
	}
	errs := validateUserLabels(pod.Labels, path.Child("labels"))
	errs = append(errs, validatePodAnnotations(pod.Annotations, path.Child("annotations"))...)
	errs = append(errs, validatePodSecurity(pod, path.Child("securityContext"))...)
	errs = append(errs, reference(path.Child("serviceAccountName"), pod.ServiceAccountName)...)
	errs = append(errs, reference(path.Child("priorityClassName"), pod.PriorityClassName)...)
	errs = append(errs, reference(path.Child("runtimeClassName"), pod.RuntimeClassName)...)
	restart := []corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}
	if pod.RestartPolicy != "" && !slices.Contains(restart, pod.RestartPolicy) {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), pod.RestartPolicy, restart))
	}
	errs = append(errs, validateDNS(pod, path)...)
	errs = append(errs, validatePlacement(pod, path)...)
	errs = append(errs, validateResourceList(pod.Resources, path.Child("resources"))...)
	errs = append(errs, validateResourceClaims(pod.ResourceClaims, path.Child("resourceClaims"))...)
	if pod.HostPID && spec.ShareProcessNamespace {
		errs = append(errs, invalidf(path.Child("hostPID"), pod.HostPID,
			"hostPID and spec.shareProcessNamespace exclude each other: remove one of them"))
	}
	return append(errs, validateStop(pod, path)...)
}

// stopSignal matches the signals that Kubernetes accepts on Linux. The schema of
// the CRD has the same pattern.
var stopSignal = regexp.MustCompile(`^SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|` +
	`STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)$`)

// validateStop checks how pods are stopped.
func validateStop(pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s := pod.TerminationGracePeriodSeconds; s != nil && *s < 1 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *s, "must be at least 1, so that Flux can stop"))
	} else {
		errs = append(errs, validateSeconds(s, path.Child("terminationGracePeriodSeconds"))...)
	}
	if pod.StopSignal != "" && !stopSignal.MatchString(pod.StopSignal) {
		errs = append(errs, field.Invalid(path.Child("stopSignal"), pod.StopSignal, "must be the name of a signal, for example SIGQUIT or SIGRTMIN+3"))
	}
	return errs
}

// validatePodAnnotations checks annotations that Kubernetes reads itself.
func validatePodAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	errs := validateAnnotations(annotations, path)
	for _, key := range sortedKeys(annotations) {
		at, value := path.Key(key), annotations[key]
		switch {
		case key == corev1.MirrorPodAnnotationKey:
			errs = append(errs, field.Forbidden(at, "is set by kubelets: remove it"))
		case key == corev1.TolerationsAnnotationKey, key == corev1.SeccompPodAnnotationKey,
			strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix),
			strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix):
			errs = append(errs, field.Forbidden(at, "Kubernetes has fields for it: use spec.pod.tolerations or spec.pod.securityContext"))
		case key == corev1.PodDeletionCost:
			if n, err := strconv.ParseInt(value, 10, 32); err != nil || strconv.FormatInt(n, 10) != value {
				errs = append(errs, field.Invalid(at, value, "must be a whole number of 32 bits"))
			}
		}
	}
	return errs
}

func validateNetwork(network *v1alpha2.Network, path *field.Path) field.ErrorList {
	if network == nil || network.HeadlessName == "" {
		return nil
	}
	return check(path.Child("headlessName"), network.HeadlessName, validation.IsDNS1035Label)
}

func validateArchive(archive *v1alpha2.FluxArchive, path *field.Path) field.ErrorList {
	if archive == nil {
		return nil
	}
	errs := notNegative(archive.PeriodSeconds, path.Child("periodSeconds"))
	if archive.PeriodSeconds > 0 && archive.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), "name the file of the archive, or remove periodSeconds"))
	}
	if archive.JobRecords != "" && archive.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), "name the file of the archive, or remove jobRecords"))
	}
	return errs
}
