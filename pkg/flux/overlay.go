package flux

import "context"

// Health of a broker and its descendants.
const (
	HealthFull     = "full"     // all are online
	HealthPartial  = "partial"  // some are offline
	HealthDegraded = "degraded" // some were lost
	HealthLost     = "lost"     // it was lost
	HealthOffline  = "offline"  // it has not joined, or it has left
)

// Overlay is the health of a broker and of its direct children.
type Overlay struct {
	// Rank is the rank of the broker.
	Rank uint32 `json:"rank"`
	// Status is one of the constants above.
	Status string `json:"status"`
	// Seconds have passed since the status changed.
	Seconds float64 `json:"duration"`
	// Error is why a child is not online; empty in older versions.
	Error string `json:"error,omitempty"`
	// Children are the direct children; those of a child are not reported.
	Children []Overlay `json:"children,omitempty"`
}

// OverlayHealth returns the health of a broker and its children as the broker reports it: service overlay.health,
// open to guests. In a flat tree, rank 0 is the parent of all others.
func (c *Client) OverlayHealth(ctx context.Context, node Node) (Overlay, error) {
	var out Overlay
	err := c.Call(ctx, "overlay.health", node, nil, &out)
	return out, err
}
