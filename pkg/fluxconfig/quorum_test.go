package fluxconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestQuorum(t *testing.T) {
	for _, tc := range []struct{ size, minSize, want int32 }{
		{4, 0, 4}, {4, 2, 2}, {4, 4, 4}, {1, 0, 1}, {0, 0, 1}, {2, 3, 2}, {4, -1, 4},
	} {
		assert.Equal(t, tc.want, Quorum(tc.size, tc.minSize), "%+v", tc)
	}
}

func TestShrunkQuorum(t *testing.T) {
	for _, tc := range []struct{ recorded, size, want int32 }{
		{4, 2, 2}, {2, 4, 2}, {4, 4, 4}, {4, 0, 1}, {0, 3, 1},
	} {
		assert.Equal(t, tc.want, ShrunkQuorum(tc.recorded, tc.size), "%+v", tc)
	}
}
