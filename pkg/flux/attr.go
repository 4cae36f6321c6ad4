package flux

import (
	"context"
	"fmt"
	"strconv"
)

// Attr returns the value of an attribute of the connected broker: service attr.get, open to guests. An unknown
// attribute is the error ENOENT.
func (c *Client) Attr(ctx context.Context, name string) (string, error) {
	var out struct {
		Value string `json:"value"`
	}
	if err := c.Call(ctx, "attr.get", AnyNode, nameRequest{name}, &out); err != nil {
		return "", fmt.Errorf("attribute %s: %w", name, err)
	}
	return out.Value, nil
}

// SetAttr sets an attribute of the connected broker that may change at run time: service attr.set, owner only.
func (c *Client) SetAttr(ctx context.Context, name, value string) error {
	in := struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}{name, value}
	if err := c.Call(ctx, "attr.set", AnyNode, in, nil); err != nil {
		return fmt.Errorf("set attribute %s: %w", name, err)
	}
	return nil
}

// Rank returns the rank of the connected broker: its attribute rank.
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
