package node

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
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
	path, args, err := n.MetricsServerCommand(Address)
	if err != nil {
		return err
	}
	if _, err := n.launch("metrics-server", path, false, args...); err != nil {
		return err
	}
	if _, err := n.KubectlInput(ctx, bytes.NewReader(metricsManifest), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("making the metrics API known: %w", err)
	}
	return nil
}
