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

// ResourceStatus is what the resource module knows of an instance's nodes.
type ResourceStatus struct {
	// All is the configured resources, those of excluded nodes too.
	All Resources
	// Drained are the ranks that get no new jobs, on- or offline.
	Drained []Drained
	// Online and Offline are the ranks whose broker is, and is not, there.
	Online, Offline IDSet
	// Exclude is the ranks that never run jobs, by configuration.
	Exclude IDSet
	// Torpid is the ranks that are online but do not answer; older versions
	// do not tell.
	Torpid IDSet
}

// ResourceStatus asks rank 0: service resource.status, open to guests.
func (c *Client) ResourceStatus(ctx context.Context) (ResourceStatus, error) {
	var out ResourceStatus
	err := c.Call(ctx, "resource.status", Leader, nil, &out)
	return out, err
}

// UnmarshalJSON reads the response of resource.status.
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

// DrainedRanks are the ranks that are drained, for any reason.
func (s ResourceStatus) DrainedRanks() IDSet {
	var all IDSet
	for _, d := range s.Drained {
		all = all.Union(d.Ranks)
	}
	return all
}

// DrainedFor are the ranks that are drained for exactly this reason.
func (s ResourceStatus) DrainedFor(reason string) IDSet {
	var all IDSet
	for _, d := range s.Drained {
		if d.Reason == reason {
			all = all.Union(d.Ranks)
		}
	}
	return all
}

// unixTime converts seconds since 1970, as Flux writes them.
func unixTime(seconds float64) time.Time {
	return time.UnixMicro(int64(seconds * 1e6))
}
