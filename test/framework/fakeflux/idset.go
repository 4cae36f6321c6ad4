package main

import "minicluster.internal/operator/pkg/flux"

// parseIDs reads an idset, RFC 22.
func parseIDs(text string) ([]int, error) {
	set, err := flux.ParseIDSet(text)
	var ids []int
	for id := range set.All() {
		ids = append(ids, int(id))
	}
	return ids, err
}

// formatIDs writes an idset.
func formatIDs(ids []int) string {
	var set flux.IDSet
	for _, id := range ids {
		set = set.Union(flux.IDs(uint32(id)))
	}
	return set.String()
}
