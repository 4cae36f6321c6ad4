package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"strings"

	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// usageFile says what simulated pods use, and how it is reported.
	usageFile = "test/kube/kwok/usage.yaml"
	// kubeletPort is where a metrics-server asks nodes, unless configured otherwise.
	kubeletPort = 10250
	// metricsPathAnnotation tells a metrics-server where a node is asked: all simulated nodes have one address.
	metricsPathAnnotation = "metrics.k8s.io/resource-metrics-path"
	// metricsAddressMark stands in metrics-server.yaml for the address of the metrics-server.
	metricsAddressMark = "METRICS_SERVER_ADDRESS"
)

// metricsManifest makes the metrics API known to the API server.
//
//go:embed metrics-server.yaml
var metricsManifest string

// nodeAddress is where all simulated nodes are. With a metrics-server it is an address that no other cluster of this
// machine has, made from the API server's port: the nodes then have a port that cannot be chosen, and a port that is
// free when one looks for it may be taken when it is used.
func (c *Cluster) nodeAddress() string {
	if !c.options.MetricsServer {
		return "127.0.0.1"
	}
	return net.IPv4(127, byte(c.options.Port>>8), byte(c.options.Port), 1).String()
}

// kwokMetricsArgs have kwok serve what a kubelet would have measured.
func (c *Cluster) kwokMetricsArgs() ([]string, error) {
	if !c.options.MetricsServer {
		return nil, nil
	}
	address := c.nodeAddress()
	certificate, key, err := c.issueFiles(Subject{Name: nodeUser, Addresses: []net.IP{net.ParseIP(address)}})
	if err != nil {
		return nil, err
	}
	return []string{
		"--config=" + c.usage,
		fmt.Sprintf("--server-address=%s:%d", address, kubeletPort),
		"--tls-cert-file=" + certificate,
		"--tls-private-key-file=" + key,
	}, nil
}

// startMetricsServer has the use of simulated pods served. The first measurements come about 20 s later.
func (c *Cluster) startMetricsServer(ctx context.Context) error {
	address := c.nodeAddress()
	path, args, err := c.MetricsServerCommand(address)
	if err != nil {
		return err
	}
	p, err := process.Start(process.Command{
		Name:     "metrics-server",
		Path:     path,
		Args:     args,
		Log:      c.path("metrics-server.log"),
		Detached: c.options.Detached,
	})
	if err != nil {
		return fmt.Errorf("starting a metrics-server: %w", err)
	}
	c.mu.Lock()
	c.metricsServer = p
	c.mu.Unlock()
	manifest := strings.ReplaceAll(metricsManifest, metricsAddressMark, address)
	if _, err := c.KubectlInput(ctx, strings.NewReader(manifest), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("making the metrics API known: %w", err)
	}
	return nil
}

// MetricsServerCommand is the program and the arguments of a metrics-server of this cluster that listens on port 10443
// of an address, with a certificate for it. It asks the nodes as often as a metrics-server can.
func (c *Cluster) MetricsServerCommand(address string) (path string, args []string, err error) {
	user := Subject{Name: "metrics-server", Groups: []string{adminGroup}, Addresses: []net.IP{net.ParseIP(address)}}
	kubeconfig, err := c.KubeconfigFor(user.Name, user.Groups...)
	if err != nil {
		return "", nil, err
	}
	certificate, key, err := c.issueFiles(user)
	if err != nil {
		return "", nil, err
	}
	return c.binaries.MetricsServer, []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + address,
		"--secure-port=10443",
		"--tls-cert-file=" + certificate,
		"--tls-private-key-file=" + key,
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + c.path(pkiDir, "ca.crt"),
		"--kubelet-client-certificate=" + certificate,
		"--kubelet-client-key=" + key,
		// The shortest resolution there is, which has to be longer than the timeout.
		"--metric-resolution=10s",
		"--kubelet-request-timeout=5s",
	}, nil
}

// issueFiles is Issue for programs: it writes the certificate and its key into the cluster's directory.
func (c *Cluster) issueFiles(subject Subject) (certificate, key string, err error) {
	certificatePEM, keyPEM, err := c.Issue(subject)
	if err != nil {
		return "", "", err
	}
	certificate, key = c.path(subject.Name+".crt"), c.path(subject.Name+".key")
	for path, content := range map[string][]byte{certificate: certificatePEM, key: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", "", fmt.Errorf("writing a certificate for %s: %w", subject.Name, err)
		}
	}
	return certificate, key, nil
}
