package flux

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxCount limits every count in a jobspec, so that sums do not overflow.
const maxCount = 1 << 24

// Jobspec is what a job requests, as far as RFC 25 and RFC 31 are supported. The form is the one that Flux itself
// writes and reads: nodes with slots, or slots on any nodes, with cores and GPUs in each.
type Jobspec struct {
	// Nodes is the number of nodes; 0 if its slots may be on any nodes.
	Nodes int
	// Exclusive: no other job may use its nodes.
	Exclusive bool
	// Slots is the number on each node, or in total if they may be on any nodes.
	Slots int
	// Cores and GPUs are those of a slot.
	Cores, GPUs int
	// Queue is the name of its queue, if it has one.
	Queue string
	// Requires is the constraint on its nodes, as JSON; "" for none.
	Requires string
}

// vertex is a node in the resource tree of a jobspec.
type vertex struct {
	Type      string
	Count     count
	Exclusive bool
	With      []vertex
}

// count is a number, or the minimum of a range.
type count int

// UnmarshalJSON parses a number, an object with the minimum as "min", or a range as text, such as 2-4 or 2+ (RFC 14).
func (c *count) UnmarshalJSON(data []byte) error {
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		var span struct{ Min int }
		var text string
		switch {
		case json.Unmarshal(data, &text) == nil:
			if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
				return fmt.Errorf("count %.40s does not start with a number", data)
			}
		case json.Unmarshal(data, &span) == nil:
			n = span.Min
		default:
			return fmt.Errorf("count %.40s is neither a number nor a range", data)
		}
	}
	if n < 0 || n > maxCount {
		return fmt.Errorf("count %d is not a number of 0 to %d", n, maxCount)
	}
	*c = count(n)
	return nil
}

// UnmarshalJSON parses a jobspec. It ignores unknown types, as Flux does. If the resources are unreadable it returns
// an error, and sets queue and constraint nevertheless.
func (j *Jobspec) UnmarshalJSON(data []byte) error {
	var wire struct {
		Resources  json.RawMessage
		Attributes struct {
			System struct {
				Queue       string
				Constraints json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return fmt.Errorf("jobspec: %w", err)
	}
	out := Jobspec{Queue: wire.Attributes.System.Queue}
	if c := string(wire.Attributes.System.Constraints); c != "null" && c != "{}" {
		out.Requires = c
	}
	*j = Jobspec{Queue: out.Queue, Requires: out.Requires}
	var resources []vertex
	if len(wire.Resources) > 0 {
		if err := json.Unmarshal(wire.Resources, &resources); err != nil {
			return fmt.Errorf("jobspec: resources: %w", err)
		}
	}
	if err := out.add(resources); err != nil {
		return fmt.Errorf("jobspec: %w", err)
	}
	if out.Slots == 0 {
		return errors.New("jobspec: no slots")
	}
	*j = out
	return nil
}

func (j *Jobspec) add(level []vertex) error {
	for _, v := range level {
		n := int(v.Count)
		if n == 0 && (v.Type == "node" || v.Type == "slot" || v.Type == "core") {
			return fmt.Errorf("the count of %q is missing or 0", v.Type)
		}
		switch v.Type {
		case "node":
			if j.Slots > 0 { // a slot of whole nodes
				n *= j.Slots
				j.Slots = 1
			}
			j.Nodes = n
			j.Exclusive = v.Exclusive
		case "slot":
			j.Slots = n
		case "core":
			j.Cores = n
		case "gpu":
			j.GPUs = n
		}
		if err := j.add(v.With); err != nil {
			return err
		}
	}
	return nil
}
