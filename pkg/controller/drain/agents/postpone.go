package agents

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// minPostpone is the time until the state of a cluster is saved again that could not be saved, and that need not
	// hibernate now. It doubles with each failure, up to maxPostpone: each attempt stops the broker.
	minPostpone = time.Minute
	maxPostpone = time.Hour
)

// postponed is a hibernation that can wait.
type postponed struct {
	reason   string
	until    time.Time
	failures int
}

// PostponeHibernation records why a cluster that need not hibernate now could not, and delays the next attempt.
func (c *Client) PostponeHibernation(key types.NamespacedName, uid types.UID, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.conn(key, uid).postponed
	p.reason = reason
	p.until = c.clock.Now().Add(min(minPostpone<<min(p.failures, 10), maxPostpone))
	p.failures++
}

// PostponedHibernation returns why the hibernation of a cluster was postponed, and the time of the next attempt. after
// is the time until then; 0 if there is none to wait for.
func (c *Client) PostponedHibernation(key types.NamespacedName, uid types.UID) (reason string, until time.Time, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.conn(key, uid).postponed
	return p.reason, p.until, max(0, p.until.Sub(c.clock.Now()))
}
