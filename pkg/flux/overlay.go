package flux

import "context"

// Health of a broker and those below it.
const (
	HealthFull     = "full"     // all are online
	HealthPartial  = "partial"  // some are not
	HealthDegraded = "degraded" // some were lost
	HealthLost     = "lost"     // it was lost
	HealthOffline  = "offline"  // it has not come, or it has left
)

// Overlay is the health of a broker and of its direct children.
type Overlay struct {
	// Rank is the broker's.
	Rank uint32 `json:"rank"`
	// Status is one of the constants above.
	Status string `json:"status"`
	// Seconds have passed since the status changed.
	Seconds float64 `json:"duration"`
	// Error is why a child is not online; older versions do not tell.
	Error string `json:"error,omitempty"`
	// Children of a child are not told.
	Children []Overlay `json:"children,omitempty"`
}

// OverlayHealth is what the broker of a rank knows of itself and its children:
// service overlay.health, open to guests. In a flat tree, rank 0 is the parent
// of all others.
func (c *Client) OverlayHealth(ctx context.Context, node Node) (Overlay, error) {
	var out Overlay
	err := c.Call(ctx, "overlay.health", node, nil, &out)
	return out, err
}
