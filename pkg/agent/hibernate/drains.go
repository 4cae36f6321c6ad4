package hibernate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// UndrainRanks undrains the ranks that agents drained before an archive was written: for a smaller size, because of
// their nodes, or because their pods stopped. The pods are others now, and the controller drains the ranks again whose
// nodes go away. It has no record of the earlier drains, so they would remain. Drains by people remain.
func UndrainRanks(ctx context.Context, client *flux.Client) error {
	status, err := client.ResourceStatus(ctx)
	if err != nil {
		return fmt.Errorf("reading drained ranks: %w", err)
	}
	ours := map[string]flux.IDSet{} // by reason: each rank may have been drained at another time
	for _, d := range status.Drained {
		if d.Reason == control.Reason || d.Reason == control.ReasonPodStops || strings.HasPrefix(d.Reason, control.NodePrefix) {
			ours[d.Reason] = ours[d.Reason].Union(d.Ranks)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(ours)) {
		if _, err := client.Undrain(ctx, ours[reason], reason); err != nil {
			return fmt.Errorf("undraining ranks: %w", err)
		}
	}
	return nil
}
