package flux

import (
	"context"
	"fmt"
	"strconv"
)

// Attr is the value of an attribute of the broker that the client is connected
// to: service attr.get, open to guests. One that does not exist is the error
// ENOENT.
func (c *Client) Attr(ctx context.Context, name string) (string, error) {
	var out struct {
		Value string `json:"value"`
	}
	if err := c.Call(ctx, "attr.get", AnyNode, nameRequest{name}, &out); err != nil {
		return "", fmt.Errorf("attribute %s: %w", name, err)
	}
	return out.Value, nil
}

// Rank is the rank of the broker that the client is connected to: its attribute
// rank.
func (c *Client) Rank(ctx context.Context) (uint32, error) {
	text, err := c.Attr(ctx, "rank")
	if err != nil {
		return 0, err
	}
	rank, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("attribute rank: %w", err)
	}
	return uint32(rank), nil
}

type nameRequest struct {
	Name string `json:"name"`
}
