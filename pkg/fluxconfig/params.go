package fluxconfig

import (
	"cmp"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// DefaultClusterDomain is the domain of a Kubernetes cluster that was not given
// another one.
const DefaultClusterDomain = "cluster.local"

// Params are the facts about a MiniCluster that were decided when it was created
// and count from then on, whatever its spec says later. A field that is left
// empty is taken from the MiniCluster as it is now.
type Params struct {
	// Name is the MiniCluster's name, the prefix of its host names.
	Name string
	// Namespace is where its pods are.
	Namespace string
	// HeadlessService is the Service that gives the pods their host names.
	HeadlessService string
	// ClusterDomain is the domain of the Kubernetes cluster's DNS.
	ClusterDomain string
	// MaximumSize is the number of hosts that are registered with the brokers.
	MaximumSize int32
	// Layout is where Flux and its files are.
	Layout Layout
}

// withDefaults fills in what the MiniCluster says now.
func (p Params) withDefaults(mc *v1alpha2.MiniCluster) Params {
	if p.Name == "" {
		p.Name = mc.Name
	}
	if p.Namespace == "" {
		// A document that was not applied yet may leave its namespace open.
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
	// A resolver's configuration may name the domain with its final dot.
	p.ClusterDomain = strings.TrimSuffix(p.ClusterDomain, ".")
	return p
}

// check refuses names that are no part of a host name. They come from objects
// that the API server has checked already, and from flags, which nobody has.
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

// domain is what follows a host's name in its full name.
func (p Params) domain() string {
	return p.HeadlessService + "." + p.Namespace + ".svc." + p.ClusterDomain
}
