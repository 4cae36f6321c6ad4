package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// statusInterval is the shortest time between two writes of a status that differ
// in nothing but readiness: a cluster of thousands of pods becomes ready in a few
// writes.
const statusInterval = time.Second

// statusPace remembers when the status of each MiniCluster was written last.
type statusPace struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last map[cache.ObjectName]time.Time
}

func newStatusPace(c clock.PassiveClock) *statusPace {
	return &statusPace{clock: c, last: map[cache.ObjectName]time.Time{}}
}

// wait is the time until the next write is due, 0 when it is.
func (p *statusPace) wait(key cache.ObjectName) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.last[key]
	if !ok {
		return 0
	}
	return max(0, statusInterval-p.clock.Since(last))
}

func (p *statusPace) wrote(key cache.ObjectName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[key] = p.clock.Now()
}

func (p *statusPace) forget(key cache.ObjectName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, key)
}
