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
	// usageFile defines the resource usage of simulated pods, and how it is reported.
	usageFile = "test/kube/kwok/usage.yaml"
	// kubeletPort is the default port where a metrics-server queries nodes.
	kubeletPort = 10250
	// metricsPathAnnotation is the path where a metrics-server queries a node: all simulated nodes have one address.
	metricsPathAnnotation = "metrics.k8s.io/resource-metrics-path"
	// metricsAddressMark is the placeholder in metrics-server.yaml for the address of the metrics-server.
	metricsAddressMark = "METRICS_SERVER_ADDRESS"
)

// metricsManifest registers the metrics API with the API server.
//
//go:embed metrics-server.yaml
var metricsManifest string

// nodeAddress returns the address of all simulated nodes. With a metrics-server it is an address that no other
// cluster of this machine has, derived from the API server's port: the nodes then have a fixed port, and a free port
// could be taken before it is used.
func (c *Cluster) nodeAddress() string {
	if !c.options.MetricsServer {
		return "127.0.0.1"
	}
	return net.IPv4(127, byte(c.options.Port>>8), byte(c.options.Port), 1).String()
}

// kwokMetricsArgs make kwok serve the measurements of a kubelet.
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

// startMetricsServer serves the resource usage of simulated pods. The first measurements arrive about 20 s later.
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
		return fmt.Errorf("registering the metrics API: %w", err)
	}
	return nil
}

// MetricsServerCommand returns the program and the arguments of a metrics-server of this cluster that listens on port
// 10443 of an address, with a certificate for it. It queries the nodes as often as possible.
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
		// The shortest possible resolution, which must exceed the timeout.
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
