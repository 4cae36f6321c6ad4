package fluxconfig

import (
	"cmp"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DefaultClusterDomain is the default DNS domain of a Kubernetes cluster.
const DefaultClusterDomain = "cluster.local"

// Params are the values of a MiniCluster that are fixed at its creation, whatever its spec says later. Empty fields
// are taken from the current MiniCluster.
type Params struct {
	// Name is the name of the MiniCluster, the prefix of its host names.
	Name string
	// Namespace is the namespace of its pods.
	Namespace string
	// HeadlessService is the Service that gives the pods their host names.
	HeadlessService string
	// ClusterDomain is the DNS domain of the Kubernetes cluster.
	ClusterDomain string
	// MaximumSize is the number of hosts that are registered with the brokers.
	MaximumSize int32
	// Layout is where Flux and its files are.
	Layout Layout
	// Incarnation and RestoreFrom become those of the plan.
	Incarnation string
	RestoreFrom string
	// Earlier and Discard become those of the plan's archive.
	Earlier []string
	Discard bool
}

// withDefaults sets empty fields from the current MiniCluster.
func (p Params) withDefaults(mc *v1alpha2.MiniCluster) Params {
	if p.Name == "" {
		p.Name = mc.Name
	}
	if p.Namespace == "" {
		// A document that is not applied yet may omit its namespace.
		p.Namespace = cmp.Or(mc.Namespace, metav1.NamespaceDefault)
	}
	if p.Layout == "" {
		p.Layout = LayoutOf(&mc.Spec)
	}
	if p.HeadlessService == "" {
		p.HeadlessService = HeadlessService(mc, p.Layout)
	}
	if p.ClusterDomain == "" {
		p.ClusterDomain = DefaultClusterDomain
	}
	if p.MaximumSize == 0 {
		p.MaximumSize = max(1, mc.RequestedSize(), mc.Spec.MaxSize)
	}
	// The configuration of a resolver may end the domain with a dot.
	p.ClusterDomain = strings.TrimSuffix(p.ClusterDomain, ".")
	return p
}

// check rejects names that cannot be part of a host name. They come from objects, which the API server has checked,
// and from flags, which it has not.
func (p Params) check() error {
	for _, name := range []struct{ field, value string }{
		{"metadata.name", p.Name},
		{"metadata.namespace", p.Namespace},
		{"spec.network.headlessName", p.HeadlessService},
	} {
		if problems := validation.IsDNS1123Label(name.value); len(problems) > 0 {
			return fieldErrorf(name.field, "%q: %s", abbreviate(name.value), problems[0])
		}
	}
	if problems := validation.IsDNS1123Subdomain(p.ClusterDomain); len(problems) > 0 {
		return fmt.Errorf("cluster domain %q: %s", abbreviate(p.ClusterDomain), problems[0])
	}
	switch {
	case p.MaximumSize < 1 || p.MaximumSize > MaxHostRange:
		return fieldErrorf("spec.maxSize", "%d hosts: must be 1 to %d", p.MaximumSize, MaxHostRange)
	case p.Layout != LayoutSystem && p.Layout != LayoutView:
		return fmt.Errorf("layout %q: must be %s or %s", p.Layout, LayoutSystem, LayoutView)
	}
	return nil
}

// domain returns the suffix of a host's full name.
func (p Params) domain() string {
	return p.HeadlessService + "." + p.Namespace + ".svc." + p.ClusterDomain
}
