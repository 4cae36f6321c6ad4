package resources

import (
	"fmt"
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// BuildHeadlessService builds the Service that gives the pods their host names. MiniClusters of a namespace may share
// it: it selects pods by a label with its own name, and each MiniCluster is an owner.
//
// With flux.minimalService it is not headless: it has its own address, and gives a host name to the lead brokers'
// pods only.
func BuildHeadlessService(mc *v1alpha2.MiniCluster, f Fixed) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:            f.Headless,
			Namespace:       mc.Namespace,
			Labels:          labelsOf(""),
			OwnerReferences: []metav1.OwnerReference{SharedOwnerReference(mc)},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  map[string]string{v1alpha2.LabelHeadlessService: f.Headless},
			// Brokers resolve each other's names before any of them is ready.
			PublishNotReadyAddresses: true,
		},
	}
	if minimalService(mc) {
		service.Spec.ClusterIP = ""
		service.Spec.Selector[batchv1.JobCompletionIndexAnnotation] = "0"
		service.Spec.Ports = servicePorts([]int32{v1alpha2.DefaultBrokerPort})
	}
	return service
}

func minimalService(mc *v1alpha2.MiniCluster) bool {
	return mc.Spec.Flux != nil && mc.Spec.Flux.MinimalService
}

// IsMinimal reports whether a Service is that of flux.minimalService, which is not headless.
func IsMinimal(service *corev1.Service) bool {
	return service.Spec.Selector[batchv1.JobCompletionIndexAnnotation] != ""
}

// Sidecar is a sidecar that gets a Service of the same name.
type Sidecar struct {
	Name string
	// Ports are the TCP ports of both the container and the Service.
	Ports []int32
}

// sidecarsOfSpec returns the sidecars of the spec that have ports.
func sidecarsOfSpec(mc *v1alpha2.MiniCluster) []Sidecar {
	var sidecars []Sidecar
	flux := mc.FluxContainerIndex()
	for i := range mc.Spec.Containers {
		if c := &mc.Spec.Containers[i]; i != flux && len(c.Ports) > 0 {
			sidecars = append(sidecars, Sidecar{Name: c.Name, Ports: slices.Clone(c.Ports)})
		}
	}
	return sidecars
}

// SidecarsOf returns the sidecars of an existing Job, which later edits of the spec do not change.
func SidecarsOf(mc *v1alpha2.MiniCluster, job *batchv1.Job) []Sidecar {
	var sidecars []Sidecar
	pod := &job.Spec.Template.Spec
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		if c.Name == mc.Name || len(c.Ports) == 0 {
			continue
		}
		sidecar := Sidecar{Name: c.Name}
		for _, port := range c.Ports {
			sidecar.Ports = append(sidecar.Ports, port.ContainerPort)
		}
		sidecars = append(sidecars, sidecar)
	}
	return sidecars
}

// BuildSidecarService builds the Service of a sidecar. It selects all pods of the MiniCluster.
func BuildSidecarService(mc *v1alpha2.MiniCluster, sidecar Sidecar) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: objectMeta(mc, sidecar.Name),
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{v1alpha2.LabelHPASelector: mc.Name},
			Ports:    servicePorts(sidecar.Ports),
			// The readiness of a pod depends on its broker and not on the sidecar.
			PublishNotReadyAddresses: true,
		},
	}
}

// servicePorts returns ports that target the same ports of the pods. If there are several, each needs a name.
func servicePorts(numbers []int32) []corev1.ServicePort {
	ports := make([]corev1.ServicePort, 0, len(numbers))
	for _, n := range numbers {
		ports = append(ports, corev1.ServicePort{
			Name: fmt.Sprintf("tcp-%d", n), Protocol: corev1.ProtocolTCP, Port: n, TargetPort: intstr.FromInt32(n),
		})
	}
	return ports
}

// IsShareable reports whether a MiniCluster may share a Service, which is the case if the Service gives its pods host
// names. A Service for lead brokers only is not enough for a MiniCluster whose pods all need a name.
func IsShareable(mc *v1alpha2.MiniCluster, service *corev1.Service) bool {
	return service.Spec.Selector[v1alpha2.LabelHeadlessService] == service.Name && (minimalService(mc) || !IsMinimal(service))
}

// IsOwner reports whether a MiniCluster is an owner of a Service.
func IsOwner(mc *v1alpha2.MiniCluster, service *corev1.Service) bool {
	return slices.ContainsFunc(service.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == mc.UID })
}

// ServiceEdits returns the fields of a Service that differ from the wanted one, and a merge patch of the spec that
// restores them. Further ports of a headless Service do no harm. A Service with an address can't become a headless one.
func ServiceEdits(service, wanted *corev1.Service) (fields []string, spec map[string]any) {
	spec = map[string]any{}
	if (service.Spec.ClusterIP == corev1.ClusterIPNone) != (wanted.Spec.ClusterIP == corev1.ClusterIPNone) {
		return nil, nil
	}
	if !maps.Equal(service.Spec.Selector, wanted.Spec.Selector) {
		selector := map[string]any{}
		for key := range service.Spec.Selector {
			selector[key] = nil
		}
		for key, value := range wanted.Spec.Selector {
			selector[key] = value
		}
		fields, spec["selector"] = append(fields, "spec.selector"), selector
	}
	if service.Spec.PublishNotReadyAddresses != wanted.Spec.PublishNotReadyAddresses {
		fields, spec["publishNotReadyAddresses"] = append(fields, "spec.publishNotReadyAddresses"), wanted.Spec.PublishNotReadyAddresses
	}
	same := func(a, b corev1.ServicePort) bool {
		return a.Name == b.Name && a.Protocol == b.Protocol && a.Port == b.Port && a.TargetPort == b.TargetPort
	}
	if len(wanted.Spec.Ports) > 0 && !slices.EqualFunc(service.Spec.Ports, wanted.Spec.Ports, same) {
		fields, spec["ports"] = append(fields, "spec.ports"), wanted.Spec.Ports
	}
	return fields, spec
}
