package drain

import (
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// maxRankText bounds the text of a list of ranks. In a large cluster, a list of every second rank would be too long
// to read, and would change the status every second.
const maxRankText = 256

// idsText names a set of ranks.
func idsText(ranks flux.IDSet) string {
	noun := "ranks "
	if ranks.Count() == 1 {
		noun = "rank "
	}
	return noun + resources.Shorten(ranks.String(), maxRankText)
}

// RankSet names a set of ranks.
func RankSet(ranks flux.IDSet) string { return idsText(ranks) }

// Ranks returns the text for a range of ranks, without the last one.
func Ranks(from, end int32) string {
	if from+1 == end {
		return "rank " + resources.FormatSize(from)
	}
	return "ranks " + resources.FormatSize(from) + "-" + resources.FormatSize(end-1)
}
