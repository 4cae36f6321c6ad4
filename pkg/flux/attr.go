package flux

import (
	"context"
	"fmt"
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

type nameRequest struct {
	Name string `json:"name"`
}
