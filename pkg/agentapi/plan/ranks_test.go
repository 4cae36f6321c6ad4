package plan_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestRankMap maps the pods of a lead with bursting.
func TestRankMap(t *testing.T) {
	var m plan.RankMap
	for index, rank := range []int32{0, 1, 7, 8, 5} {
		m = m.Add(int32(index), rank)
	}
	assert.Equal(t, plan.RankMap{{Rank: 0, Count: 2}, {Index: 2, Rank: 7, Count: 2}, {Index: 4, Rank: 5, Count: 1}}, m)
	assert.Equal(t, plan.RankMap{{Rank: 0, Count: 2}, {Index: 2, Rank: 7, Count: 1}}, m.Below(3))
	assert.Equal(t, m, m.Below(9))
	assert.Empty(t, m.Below(0))
}
