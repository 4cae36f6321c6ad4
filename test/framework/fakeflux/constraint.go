package main

import (
	"slices"
	"strings"
	"syscall"

	"minicluster.internal/operator/pkg/fluxconfig"
)

// constrain finds the ranks that --requires leaves to a job, nil for all. Of the
// syntax of constraints (RFC 35) single ones are known, for ranks and hosts; there
// are no properties, so no rank has one.
func constrain(requires string, resources resourceSet) ([]int, error) {
	if requires == "" {
		return nil, nil
	}
	operator, value, ok := strings.Cut(requires, ":")
	if !ok {
		return []int{}, nil
	}
	switch operator {
	case "rank", "ranks":
		ranks, err := parseIDs(value)
		if err != nil {
			return nil, fail(syscall.EINVAL, "%s: %v", requires, err)
		}
		return ranks, nil
	case "host", "hosts":
		hosts, err := fluxconfig.ParseHostlist(value)
		if err != nil {
			return nil, fail(syscall.EINVAL, "%s: %v", requires, err)
		}
		ranks := []int{}
		for _, name := range hosts.All() {
			at := slices.IndexFunc(resources.ranks(), func(rank int) bool { return resources[rank].host == name })
			if at < 0 {
				return nil, fail(syscall.EINVAL, "host constraint contains invalid hosts: host '%s' not found", name)
			}
			ranks = append(ranks, resources.ranks()[at])
		}
		return ranks, nil
	}
	return nil, fail(syscall.EINVAL, "unknown constraint operator '%s'", operator)
}

// allows tells whether a job may be on a rank.
func (s jobSpec) allows(rank int) bool { return s.Ranks == nil || slices.Contains(s.Ranks, rank) }
