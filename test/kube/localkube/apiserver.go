package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"minicluster.internal/operator/test/kube/pki"
)

const (
	serviceCIDR = "10.96.0.0/16"
	// serviceIP is the address of Service kubernetes: the first one of the range.
	serviceIP = "10.96.0.1"
	issuer    = "https://kubernetes.default.svc.cluster.local"
)

// runAPIServer returns when the context ends. It does not use the command of kube-apiserver, which would install
// signal handlers that the other components install too (the second one panics), and which cannot use an open port.
func runAPIServer(ctx context.Context, o options, listener net.Listener) error {
	server := apiserveroptions.NewServerRunOptions()
	if err := parseFlags("kube-apiserver", server.Flags(), apiServerFlags(o), o.apiServerArgs); err != nil {
		return err
	}
	server.SecureServing.Listener = listener
	if err := server.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting the feature gates: %w", err)
	}
	completed, err := server.Complete(ctx)
	if err != nil {
		return fmt.Errorf("completing the options of kube-apiserver: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("checking the options of kube-apiserver: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

func apiServerFlags(o options) []string {
	flags := []string{
		"--etcd-servers=" + etcdClientURL,
		"--bind-address=" + loopback,
		"--service-cluster-ip-range=" + serviceCIDR,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--profiling=false",
		"--tls-cert-file=" + o.pki(pki.APIServerCertificate),
		"--tls-private-key-file=" + o.pki(pki.APIServerKey),
		"--client-ca-file=" + o.pki(pki.CACertificate),
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + o.pki(pki.ServiceAccountPublic),
		"--service-account-signing-key-file=" + o.pki(pki.ServiceAccountKey),
		// The aggregation layer, which the metrics API servers need.
		"--requestheader-client-ca-file=" + o.pki(pki.FrontProxyCA),
		"--requestheader-allowed-names=" + pki.FrontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + o.pki(pki.FrontProxyCertificate),
		"--proxy-client-key-file=" + o.pki(pki.FrontProxyKey),
	}
	flags = append(flags, nodeFlags(o)...)
	if o.audit {
		flags = append(flags, auditFlags(o)...)
	}
	return flags
}

// nodeFlags returns flags that depend on whether there are real nodes: pods that connect to the API server, kubelets
// that it connects to.
func nodeFlags(o options) []string {
	if o.nodeIP() == nil {
		return []string{
			"--advertise-address=" + loopback,
			// Endpoints cannot have loopback addresses, so Service kubernetes has none.
			"--endpoint-reconciler-type=none",
		}
	}
	return []string{
		"--advertise-address=" + o.nodeAddress,
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-certificate-authority=" + o.pki(pki.CACertificate),
		"--kubelet-client-certificate=" + o.pki(pki.KubeletClient.CertificateFile()),
		"--kubelet-client-key=" + o.pki(pki.KubeletClient.KeyFile()),
		"--kubelet-preferred-address-types=InternalIP",
	}
}

// parseFlags puts the caller's flags last: the last one takes precedence.
func parseFlags(component string, sets cliflag.NamedFlagSets, ours, callers []string) error {
	all := pflag.NewFlagSet(component, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(append(ours, callers...)); err != nil {
		return fmt.Errorf("reading the flags of %s: %w", component, err)
	}
	return nil
}
