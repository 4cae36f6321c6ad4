package node

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
)

// metricsManifest registers the metrics API with the API server.
//
//go:embed metrics-server.yaml
var metricsManifest []byte

// startMetricsServer serves the kubelet's measurements. The first ones arrive about 20 s later.
func (n *Node) startMetricsServer(ctx context.Context) error {
	if !n.options.MetricsServer {
		return nil
	}
	path, args, err := n.MetricsServerCommand(Address)
	if err != nil {
		return err
	}
	if _, err := n.launch("metrics-server", path, false, args...); err != nil {
		return err
	}
	if _, err := n.KubectlInput(ctx, bytes.NewReader(metricsManifest), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("registering the metrics API: %w", err)
	}
	return nil
}
