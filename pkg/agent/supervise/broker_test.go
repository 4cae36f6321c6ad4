package supervise

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestBackoff checks after how many brokers with the same lifetime the pod fails: a scheduler that repeatedly fails
// after some minutes must not be restarted without end.
func TestBackoff(t *testing.T) {
	for _, tc := range []struct {
		name     string
		lifetime time.Duration
		ends     int // 0: never
	}{
		{"never started", 0, 5},
		{"within a minute", 59 * time.Second, 5},
		{"after more than a minute", 90 * time.Second, 5},
		{"after ten minutes", 10 * time.Minute, 8},
		{"after an hour", time.Hour, 10},
		{"has worked", time.Hour + time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b backoff
			ends := 0
			for i := 1; i <= 1000 && ends == 0; i++ {
				b.next(tc.lifetime)
				if b.early >= leadAttempts {
					ends = i
				}
			}
			assert.Equal(t, tc.ends, ends)
		})
	}
}

func TestBackoffDelay(t *testing.T) {
	var b backoff
	var delays []time.Duration
	for range 6 {
		delays = append(delays, b.next(time.Second))
	}
	assert.Equal(t, []time.Duration{backoffMin, 2 * backoffMin, 4 * backoffMin, 8 * backoffMin, backoffMax, backoffMax}, delays)
	assert.Equal(t, backoffMin, b.next(stable+1), "a broker that worked for a while is restarted soon")
	b.next(maxEarlyEnd + 1)
	assert.Equal(t, 1, b.early, "one that worked for long is not one of many")
}
