package flux

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxCount bounds what a jobspec may ask for of anything, so that sums of it are
// numbers.
const maxCount = 1 << 24

// Jobspec is what a job asks for, of what RFC 25 and RFC 31 say. The form is that which
// Flux itself writes and reads: nodes with slots, or slots wherever there is room, with
// cores and GPUs in each.
type Jobspec struct {
	// Nodes is how many nodes it wants; 0 if it does not care which nodes its slots
	// are on.
	Nodes int
	// Exclusive says that nobody else may have anything of its nodes.
	Exclusive bool
	// Slots is how many it wants on each node, or in all if it does not care.
	Slots int
	// Cores and GPUs are those of a slot.
	Cores, GPUs int
	// Queue is the name of its queue, if it has one.
	Queue string
	// Requires is the constraint that its nodes have to meet, as JSON; "" for none.
	Requires string
}

// vertex is a node of the tree of resources of a jobspec.
type vertex struct {
	Type      string
	Count     count
	Exclusive bool
	With      []vertex
}

// count is a number, or the smallest of a range of them.
type count int

// UnmarshalJSON reads a number, an object that has the smallest as "min", or a range as text, such
// as 2-4 or 2+ (RFC 14).
func (c *count) UnmarshalJSON(data []byte) error {
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		var span struct{ Min int }
		var text string
		switch {
		case json.Unmarshal(data, &text) == nil:
			if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
				return fmt.Errorf("count %.40s does not begin with a number", data)
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

// UnmarshalJSON reads a jobspec. What it has of types that are not known here is left
// out, as Flux does. Of one whose resources can't be read, queue and constraint are known
// beside the error.
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
		return errors.New("jobspec: it has no slots")
	}
	*j = out
	return nil
}

func (j *Jobspec) add(level []vertex) error {
	for _, v := range level {
		n := int(v.Count)
		if n == 0 && (v.Type == "node" || v.Type == "slot" || v.Type == "core") {
			return fmt.Errorf("there is no count of %q, or it is 0", v.Type)
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
