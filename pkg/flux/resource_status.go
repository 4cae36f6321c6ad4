package flux

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Drained is a set of ranks that were drained together.
type Drained struct {
	Ranks  IDSet
	Since  time.Time
	Reason string
}

// ResourceStatus is the state of the nodes of an instance, as the resource module reports it.
type ResourceStatus struct {
	// All are the configured resources, including those of excluded nodes.
	All Resources
	// Drained are the ranks that get no new jobs, online or offline.
	Drained []Drained
	// Online and Offline are the ranks by the state of their broker.
	Online, Offline IDSet
	// Exclude are the ranks that never run jobs, by configuration.
	Exclude IDSet
	// Torpid are the ranks that are online but do not respond; empty in older versions.
	Torpid IDSet
}

// ResourceStatus queries rank 0: service resource.status, open to guests.
func (c *Client) ResourceStatus(ctx context.Context) (ResourceStatus, error) {
	var out ResourceStatus
	err := c.Call(ctx, "resource.status", Leader, nil, &out)
	return out, err
}

// UnmarshalJSON parses the response of resource.status.
func (s *ResourceStatus) UnmarshalJSON(data []byte) error {
	var wire struct {
		R     Resources
		Drain map[string]struct {
			Timestamp float64
			Reason    string
		}
		Online, Offline, Exclude, Torpid IDSet
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*s = ResourceStatus{
		All: wire.R, Online: wire.Online, Offline: wire.Offline, Exclude: wire.Exclude, Torpid: wire.Torpid,
	}
	for _, key := range slices.Sorted(maps.Keys(wire.Drain)) {
		ranks, err := ParseIDSet(key)
		if err != nil {
			return fmt.Errorf("drained ranks: %w", err)
		}
		info := wire.Drain[key]
		s.Drained = append(s.Drained, Drained{Ranks: ranks, Since: unixTime(info.Timestamp), Reason: info.Reason})
	}
	return nil
}

// DrainedRanks returns the ranks that are drained for any reason.
func (s ResourceStatus) DrainedRanks() IDSet {
	var all IDSet
	for _, d := range s.Drained {
		all = all.Union(d.Ranks)
	}
	return all
}

// DrainedFor returns the ranks that are drained for exactly this reason.
func (s ResourceStatus) DrainedFor(reason string) IDSet {
	var all IDSet
	for _, d := range s.Drained {
		if d.Reason == reason {
			all = all.Union(d.Ranks)
		}
	}
	return all
}

// unixTime converts seconds since 1970, the format of Flux.
func unixTime(seconds float64) time.Time {
	return time.UnixMicro(int64(seconds * 1e6))
}
