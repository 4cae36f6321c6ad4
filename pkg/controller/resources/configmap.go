package resources

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Keys of the ConfigMap and of the Secret: the names of the files that the agent reads.
const (
	// KeyBrokerConfig is the brokers' broker.toml.
	KeyBrokerConfig = plan.FileBrokerTOML
	// KeyQuorum is the number of brokers that must be online before the initial program starts (broker.quorum).
	KeyQuorum = plan.FileQuorum
	// keyPlan is the plan of the agents.
	keyPlan = plan.FilePlan
	// keyCertificate is the CURVE certificate in the Secret.
	keyCertificate = plan.FileCertificate
	// keyPasswords is the JSON object with the passwords of spec.users in the Secret.
	keyPasswords = plan.FilePasswords
)

// BuildConfigMap builds the ConfigMap with the brokers' configuration for a size. The Secret with the certificate is
// a second owner: when that Secret is deleted, Kubernetes' garbage collector removes the owner reference. This shows
// the controller the loss of a Secret that it has no right to watch.
func BuildConfigMap(mc *v1alpha2.MiniCluster, f Fixed, env Environment, size int32, secret *metav1.OwnerReference) (*corev1.ConfigMap, error) {
	toml, err := fluxconfig.BrokerTOML(mc, fluxParams(mc, f, env))
	if err != nil {
		return nil, fmt.Errorf("making broker.toml: %w", err)
	}
	agents, err := fluxconfig.AgentPlan(mc, fluxParams(mc, f, env), size, gracePeriodOf(mc))
	if err != nil {
		return nil, fmt.Errorf("making the agents' plan: %w", err)
	}
	text, err := agents.Text()
	if err != nil {
		return nil, err
	}
	meta := objectMeta(mc, ConfigMapName(mc))
	meta.Annotations = f.annotations()
	if secret != nil {
		meta.OwnerReferences = append(meta.OwnerReferences, *secret)
	}
	data := map[string]string{
		KeyBrokerConfig: toml,
		KeyQuorum:       FormatSize(fluxconfig.Quorum(size, mc.Spec.MinSize)),
		keyPlan:         text,
	}
	meta.Annotations[v1alpha2.AnnotationDataHash] = DataHash(data)
	return &corev1.ConfigMap{ObjectMeta: meta, Data: data}, nil
}

// DataHash returns the value of AnnotationDataHash for the data of a ConfigMap.
func DataHash(data map[string]string) string {
	var text []byte
	for _, key := range slices.Sorted(maps.Keys(data)) {
		text = fmt.Appendf(text, "%q=%q\n", key, data[key])
	}
	return hash(text)
}

// DataEdits returns the keys of a ConfigMap whose values differ from those that it should have.
func DataEdits(configMap *corev1.ConfigMap, wanted map[string]string) []string {
	var edited []string
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if configMap.Data[key] != wanted[key] {
			edited = append(edited, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(configMap.Data)) {
		if _, ok := wanted[key]; !ok {
			edited = append(edited, key)
		}
	}
	return edited
}

// IsEdited reports whether something else than the controller has written the data of a ConfigMap. A ConfigMap of an
// earlier release has no record, and does not count as edited.
func IsEdited(configMap *corev1.ConfigMap) bool {
	recorded := configMap.Annotations[v1alpha2.AnnotationDataHash]
	return recorded != "" && recorded != DataHash(configMap.Data)
}

func fluxParams(mc *v1alpha2.MiniCluster, f Fixed, env Environment) fluxconfig.Params {
	return fluxconfig.Params{
		Name:            mc.Name,
		Namespace:       mc.Namespace,
		HeadlessService: f.Headless,
		ClusterDomain:   env.ClusterDomain,
		MaximumSize:     f.Maximum,
		Layout:          f.Layout,
		Incarnation:     f.Incarnation,
		RestoreFrom:     f.RestoreFrom,
		Earlier:         f.Earlier,
		Discard:         f.Discard,
	}
}

// BuildSecret builds the Secret of a MiniCluster: the CURVE certificate (from the spec, or a new key pair) unless the
// user names a Secret with one, the users' passwords, and the certificates with which the controller and the lead's
// agent authenticate each other. It is immutable, since running brokers cannot change their certificate.
func BuildSecret(mc *v1alpha2.MiniCluster, random io.Reader, now time.Time) (*corev1.Secret, error) {
	data, err := control.NewCredentials(LeadHost(mc), now)
	if err != nil {
		return nil, err
	}
	if CertificateSecretName(mc) == SecretName(mc) {
		cert, err := certificate(mc, random, now)
		if err != nil {
			return nil, err
		}
		data[keyCertificate] = cert.Text()
	}
	if len(mc.Spec.Users) > 0 {
		text, err := passwords(mc.Spec.Users, random)
		if err != nil {
			return nil, err
		}
		data[keyPasswords] = text
	}
	return &corev1.Secret{
		ObjectMeta: objectMeta(mc, SecretName(mc)),
		Immutable:  new(true),
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}, nil
}

// certificate returns the certificate of the spec, in the one form that every version of Flux reads, or a new one.
func certificate(mc *v1alpha2.MiniCluster, random io.Reader, now time.Time) (fluxconfig.Certificate, error) {
	if mc.Spec.Flux != nil && mc.Spec.Flux.CurveCert != "" {
		cert, err := fluxconfig.ParseCertificate([]byte(mc.Spec.Flux.CurveCert), mc.Name)
		if err != nil {
			return cert, fmt.Errorf("reading spec.flux.curveCert: %w", err)
		}
		return cert, nil
	}
	cert, err := fluxconfig.NewCertificate(random, mc.Name, now)
	if err != nil {
		return cert, fmt.Errorf("making the CURVE certificate: %w", err)
	}
	return cert, nil
}

// SecretReference returns the owner reference from the ConfigMap to a Secret, see BuildConfigMap.
func SecretReference(secret *corev1.Secret) *metav1.OwnerReference {
	return &metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID}
}

// SecretOwnerReference returns the owner reference to the Secret on the ConfigMap.
func SecretOwnerReference(conf *corev1.ConfigMap, name string) *metav1.OwnerReference {
	if conf == nil {
		return nil
	}
	i := slices.IndexFunc(conf.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == "Secret" && r.Name == name })
	if i < 0 {
		return nil
	}
	return &conf.OwnerReferences[i]
}
