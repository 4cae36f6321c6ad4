package flux

import "context"

// GroupOnline is the group of the brokers that have joined.
const GroupOnline = "broker.online"

type group struct {
	Members IDSet `json:"members"`
}

// Group returns the ranks of the brokers in a group, as rank 0 knows it: service groups.get, open to guests.
func (c *Client) Group(ctx context.Context, name string) (IDSet, error) {
	var out group
	err := c.Call(ctx, "groups.get", Leader, nameRequest{name}, &out)
	return out.Members, err
}
