package hibernate

import (
	"context"
	"fmt"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// UndrainRanks undrains the ranks that were drained for the controller before an archive was written: for a smaller
// size, or because of their nodes. The pods are others now, and the controller drains the ranks again whose nodes go
// away. It has no record of the earlier drains, so they would remain. Drains by people remain.
func UndrainRanks(ctx context.Context, client *flux.Client) error {
	status, err := client.ResourceStatus(ctx)
	if err != nil {
		return fmt.Errorf("reading drained ranks: %w", err)
	}
	for _, d := range status.Drained {
		if d.Reason != control.Reason && !strings.HasPrefix(d.Reason, control.NodePrefix) {
			continue
		}
		if _, err := client.Undrain(ctx, d.Ranks, d.Reason); err != nil {
			return fmt.Errorf("undraining ranks: %w", err)
		}
	}
	return nil
}
