package pod

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWallTime(t *testing.T) {
	for _, test := range []struct {
		milliseconds int64
		want         string
	}{{0, "0:00.00"}, {1239, "0:01.23"}, {65_000, "1:05.00"}, {3_600_000, "1:00:00"}, {3_725_900, "1:02:05"}} {
		assert.Equal(t, test.want, WallTime(time.Duration(test.milliseconds)*time.Millisecond))
	}
}
