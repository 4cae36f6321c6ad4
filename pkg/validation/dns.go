package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Limits of Kubernetes for the DNS configuration of a pod.
const (
	maxNameservers      = 3
	maxSearches         = 32
	maxSearchCharacters = 2048
)

// validateDNS checks the DNS policy and configuration of the pods.
func validateDNS(pod *v1alpha2.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	policies := []corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone}
	if pod.DNSPolicy != "" && !slices.Contains(policies, pod.DNSPolicy) {
		errs = append(errs, field.NotSupported(path.Child("dnsPolicy"), pod.DNSPolicy, policies))
	}
	config, at := pod.DNSConfig, path.Child("dnsConfig")
	if pod.DNSPolicy == corev1.DNSNone && (config == nil || len(config.Nameservers) == 0) {
		errs = append(errs, field.Required(at.Child("nameservers"), "dnsPolicy None needs at least one name server: add it, or change dnsPolicy"))
	}
	if config == nil {
		return errs
	}
	if len(config.Nameservers) > maxNameservers {
		errs = append(errs, field.TooMany(at.Child("nameservers"), len(config.Nameservers), maxNameservers))
	}
	for i, server := range config.Nameservers {
		errs = append(errs, validation.IsValidIP(at.Child("nameservers").Index(i), server)...)
	}
	errs = append(errs, validateSearches(config.Searches, at.Child("searches"))...)
	for i, option := range config.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(at.Child("options").Index(i).Child("name"), "name the option, for example ndots"))
		}
	}
	return errs
}

func validateSearches(searches []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(searches) > maxSearches {
		errs = append(errs, field.TooMany(path, len(searches), maxSearches))
	}
	if len(strings.Join(searches, " ")) > maxSearchCharacters {
		errs = append(errs, invalidf(path, len(searches), "must have at most %d characters in total", maxSearchCharacters))
	}
	for i, search := range searches {
		if search == "." {
			continue
		}
		// Underscores are valid in search domains (RFC 2782).
		name := strings.ReplaceAll(strings.TrimSuffix(search, "."), "_", "-")
		for _, problem := range validation.IsDNS1123Subdomain(strings.Trim(name, "-")) {
			errs = append(errs, field.Invalid(path.Index(i), search, problem))
		}
	}
	return errs
}
