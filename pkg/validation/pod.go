package validation

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func validatePod(spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	pod := spec.Pod
	if pod == nil {
		return nil
	}
	errs := validateLabels(pod.Labels, path.Child("labels"))
	errs = append(errs, validateReservedLabels(pod.Labels, path.Child("labels"))...)
	errs = append(errs, validatePodAnnotations(pod.Annotations, path.Child("annotations"))...)
	errs = append(errs, validatePodSecurity(pod, path.Child("securityContext"))...)
	errs = append(errs, reference(path.Child("serviceAccountName"), pod.ServiceAccountName)...)
	errs = append(errs, reference(path.Child("priorityClassName"), pod.PriorityClassName)...)
	errs = append(errs, reference(path.Child("runtimeClassName"), pod.RuntimeClassName)...)
	errs = append(errs, validatePodPolicies(pod, path)...)
	errs = append(errs, validateLabels(pod.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, validateNodeAffinity(pod.NodeAffinity, path.Child("nodeAffinity"))...)
	errs = append(errs, validateTolerations(pod.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateResourceList(pod.Resources, path.Child("resources"))...)
	if pod.HostPID && spec.ShareProcessNamespace {
		errs = append(errs, invalidf(path.Child("hostPID"), pod.HostPID,
			"hostPID and spec.shareProcessNamespace exclude each other: remove one of them"))
	}
	if s := pod.TerminationGracePeriodSeconds; s != nil && *s < 1 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *s, "must be at least 1, so that Flux can stop"))
	}
	return errs
}

func validatePodPolicies(pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	restart := []corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}
	if pod.RestartPolicy != "" && !slices.Contains(restart, pod.RestartPolicy) {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), pod.RestartPolicy, restart))
	}
	// Not None, which needs a dnsConfig, and pods of a MiniCluster have none.
	dns := []corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault}
	if pod.DNSPolicy != "" && !slices.Contains(dns, pod.DNSPolicy) {
		errs = append(errs, field.NotSupported(path.Child("dnsPolicy"), pod.DNSPolicy, dns))
	}
	return errs
}

func validateNodeAffinity(affinity map[string][]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, label := range sortedKeys(affinity) {
		at := path.Key(label)
		errs = append(errs, metav1validation.ValidateLabelName(label, at)...)
		if len(affinity[label]) == 0 {
			errs = append(errs, field.Required(at, "list the values that the label may have, or remove it"))
		}
		for i, value := range affinity[label] {
			errs = append(errs, check(at.Index(i), value, validation.IsValidLabelValue)...)
		}
	}
	return errs
}

func validateTolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	var errs field.ErrorList
	for i, t := range tolerations {
		at := path.Index(i)
		switch {
		case t.Key != "":
			errs = append(errs, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
		case t.Operator != corev1.TolerationOpExists:
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator, "must be Exists where key is empty: set key, or operator to Exists"))
		}
		errs = append(errs, validateTolerationValue(&t, at)...)
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at.Child("tolerationSeconds"), *t.TolerationSeconds, "needs the effect NoExecute: set effect, or remove it"))
		}
		if t.Effect != "" && !slices.Contains(effects, t.Effect) {
			errs = append(errs, field.NotSupported(at.Child("effect"), t.Effect, effects))
		}
	}
	return errs
}

func validateTolerationValue(t *corev1.Toleration, path *field.Path) field.ErrorList {
	switch t.Operator {
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return field.ErrorList{field.Invalid(path.Child("value"), t.Value, "must be empty with operator Exists: remove it")}
		}
		return nil
	case corev1.TolerationOpEqual, "":
		return check(path.Child("value"), t.Value, validation.IsValidLabelValue)
	default:
		// Lt and Gt are refused by most servers.
		return field.ErrorList{field.NotSupported(path.Child("operator"), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists})}
	}
}

// validateReservedLabels refuses labels that the Job controller sets.
func validateReservedLabels(labels map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, label := range []string{
		"controller-uid", "job-name", batchv1.ControllerUidLabel, batchv1.JobNameLabel, batchv1.JobCompletionIndexAnnotation,
	} {
		if _, ok := labels[label]; ok {
			errs = append(errs, field.Forbidden(path.Key(label), "is set by Kubernetes: remove it"))
		}
	}
	return errs
}

// validatePodAnnotations knows the annotations that Kubernetes reads itself.
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
		errs = append(errs, field.Required(path.Child("path"), "name the file to write every periodSeconds, or remove periodSeconds"))
	}
	return errs
}
