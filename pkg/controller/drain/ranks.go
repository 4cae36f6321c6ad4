package drain

import (
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// maxRankText bounds a list of ranks. In a large cluster every other rank is a text that
// nobody reads, and the status would be written each second.
const maxRankText = 256

func idsText(ranks flux.IDSet) string { return resources.Shorten(ranks.String(), maxRankText) }

// Ranks names the ranks from one to the one before another.
func Ranks(from, end int32) string {
	if from+1 == end {
		return "rank " + resources.FormatSize(from)
	}
	return "ranks " + resources.FormatSize(from) + "-" + resources.FormatSize(end-1)
}
