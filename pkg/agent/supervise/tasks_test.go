package supervise

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agent/reaper"
)

func TestDescends(t *testing.T) {
	processes := map[int]reaper.Info{
		1: {PID: 1}, 7: {PID: 7, Parent: 1, Name: "flux-broker-0"}, 8: {PID: 8, Parent: 7, Name: "flux-shell"}, 9: {PID: 9, Parent: 8, Name: "app"},
		20: {PID: 20, Parent: 21}, 21: {PID: 21, Parent: 20},
	}
	assert.True(t, descends(processes, 9, 7))
	assert.True(t, descends(processes, 8, 7))
	assert.False(t, descends(processes, 7, 8))
	assert.False(t, descends(processes, 9, 5))
	assert.False(t, descends(processes, 20, 7), "a table that changes while it is read")
}
