package node

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"

	"minicluster.internal/operator/test/cluster"
)

// metricsManifest makes the metrics API known to the API server.
//
//go:embed metrics-server.yaml
var metricsManifest []byte

// startMetricsServer has the kubelet's measurements served. The first ones come about 20 s later.
func (n *Node) startMetricsServer(ctx context.Context) error {
	if !n.options.MetricsServer {
		return nil
	}
	user := cluster.Subject{Name: "metrics-server", Groups: []string{adminGroup}, Addresses: []net.IP{net.ParseIP(Address)}}
	kubeconfig, err := n.KubeconfigFor(user.Name, user.Groups...)
	if err != nil {
		return err
	}
	certificate, key, err := n.Issue(user)
	if err != nil {
		return err
	}
	certificateFile, keyFile := n.path("metrics-server.crt"), n.path("metrics-server.key")
	for name, content := range map[string][]byte{certificateFile: certificate, keyFile: key} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return fmt.Errorf("writing the certificate of metrics-server: %w", err)
		}
	}
	_, err = n.launch("metrics-server", n.binaries.MetricsServer, false,
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--bind-address="+Address,
		"--secure-port=10443",
		"--tls-cert-file="+certificateFile,
		"--tls-private-key-file="+keyFile,
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority="+n.path("pki", "ca.crt"),
		"--kubelet-client-certificate="+certificateFile,
		"--kubelet-client-key="+keyFile,
		// The shortest resolution there is, which has to be longer than the timeout.
		"--metric-resolution=10s",
		"--kubelet-request-timeout=5s",
	)
	if err != nil {
		return err
	}
	if _, err := n.KubectlInput(ctx, bytes.NewReader(metricsManifest), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("making the metrics API known: %w", err)
	}
	return nil
}
