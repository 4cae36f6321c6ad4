package node

import (
	"context"
	"fmt"
	"os"
	"text/template"
)

// adminGroup has all rights. Components that serve the whole cluster use it, since their rights are not under test.
const adminGroup = "system:masters"

// startKubeProxy makes Services work.
func (n *Node) startKubeProxy(context.Context) error {
	// This user has its rights from the start.
	kubeconfig, err := n.KubeconfigFor("system:kube-proxy")
	if err != nil {
		return err
	}
	config := n.path("kube-proxy.json")
	err = writeJSON(config, object{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"clientConnection":   object{"kubeconfig": kubeconfig},
		"mode":               "iptables",
		"clusterCIDR":        podCIDR,
		"hostnameOverride":   Name,
		"bindAddress":        Address,
		"healthzBindAddress": "",
		"metricsBindAddress": "127.0.0.1:10249",
		// These would be settings of the whole machine.
		"conntrack": object{"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		// Tests use Services as soon as they are created.
		"iptables": object{"minSyncPeriod": "100ms"},
	})
	if err != nil {
		return fmt.Errorf("writing kube-proxy's configuration: %w", err)
	}
	_, err = n.launch("kube-proxy", n.binaries.KubeProxy, false, "--config="+config)
	return err
}

// corefile answers names of the cluster from the API server without caching, and no others.
func corefile() *template.Template {
	return template.Must(template.New("Corefile").Parse(`{{.Domain}}:53 in-addr.arpa:53 {
  bind {{.Address}}
  errors
  kubernetes {{.Domain}} in-addr.arpa {
    kubeconfig {{.Kubeconfig}}
    pods insecure
    ttl 0
  }
}
.:53 {
  bind {{.Address}}
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`))
}

// startDNS returns when names resolve.
func (n *Node) startDNS(ctx context.Context) error {
	kubeconfig, err := n.KubeconfigFor("coredns", adminGroup)
	if err != nil {
		return err
	}
	path := n.path("Corefile")
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the Corefile: %w", err)
	}
	defer file.Close()
	err = corefile().Execute(file, struct{ Domain, Address, Kubeconfig string }{clusterDomain, Address, kubeconfig})
	if err != nil {
		return fmt.Errorf("writing the Corefile: %w", err)
	}
	p, err := n.launch("coredns", n.binaries.CoreDNS, true, "-conf="+path, "-quiet")
	if err != nil {
		return err
	}
	return p.WaitForLine(ctx, readyLine)
}
