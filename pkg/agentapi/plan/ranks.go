package plan

// RankMap maps the completion indexes of a MiniCluster's pods to ranks of the Flux instance. An empty map is the
// identity, for an instance whose hosts are all pods of the MiniCluster. The instance of a lead with bursting also
// contains the hosts of other clusters, which the MiniCluster must not drain.
type RankMap []RankRange

// RankRange maps the indexes Index to Index+Count-1 to the ranks Rank to Rank+Count-1.
type RankRange struct {
	// Index is the first completion index.
	Index int32 `json:"index"`
	// Rank is its rank.
	Rank int32 `json:"rank"`
	// Count is the number of pods.
	Count int32 `json:"count"`
}

// Add returns the map with one more index. Indexes are added in ascending order.
func (m RankMap) Add(index, rank int32) RankMap {
	if n := len(m); n > 0 {
		last := &m[n-1]
		if last.Index+last.Count == index && last.Rank+last.Count == rank {
			last.Count++
			return m
		}
	}
	return append(m, RankRange{Index: index, Rank: rank, Count: 1})
}

// Below returns the part of the map with the indexes below one.
func (m RankMap) Below(index int32) RankMap {
	var out RankMap
	for _, r := range m {
		if n := min(r.Count, index-r.Index); n > 0 {
			out = append(out, RankRange{Index: r.Index, Rank: r.Rank, Count: n})
		}
	}
	return out
}
