package controller

import (
	"container/list"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// priority orders the work of a namespace. The first one comes first.
type priority int

const (
	// priorityChange is for sizes and deletions that users wait for.
	priorityChange priority = iota
	// priorityCreation is for MiniClusters that have no Job yet.
	priorityCreation
	// priorityReadiness is for everything else: changes of pods, retries, rechecks.
	priorityReadiness
	priorities
)

// String is the value of the label of a metric.
func (p priority) String() string {
	return [priorities]string{priorityChange: "change", priorityCreation: "creation", priorityReadiness: "readiness"}[p]
}

// maxOvertake is how long keys of a lower priority are overtaken by those of higher ones.
// Afterwards every second turn of the namespace is theirs.
const maxOvertake = 30 * time.Second

// fairQueue is the storage of a work queue. Namespaces take turns, so that what one tenant
// does delays the others by at most one sync a turn. Within a namespace, keys are ordered
// by priority, and by age within a priority. The work queue calls it with its lock held.
type fairQueue struct {
	clock clock.PassiveClock
	// priorityOf returns the priority that a key has now.
	priorityOf func(cache.ObjectName) priority
	// waited observes how long a key has waited.
	waited func(priority, time.Duration)

	// turns are the namespaces that have keys, in the order of their turns.
	turns      list.List
	namespaces map[string]*namespaceQueue
	// places are the keys of the queue, each in one list only.
	places map[cache.ObjectName]*list.Element
}

// namespaceQueue has the keys of a namespace, by priority.
type namespaceQueue struct {
	name string
	keys [priorities]list.List
	// overdue: the last turn was that of an overdue key.
	overdue bool
}

// waitingKey is a key in the queue.
type waitingKey struct {
	key      cache.ObjectName
	priority priority
	since    time.Time
}

var _ workqueue.Queue[cache.ObjectName] = &fairQueue{}

func newFairQueue(c clock.PassiveClock, priorityOf func(cache.ObjectName) priority, waited func(priority, time.Duration)) *fairQueue {
	return &fairQueue{
		clock: c, priorityOf: priorityOf, waited: waited,
		namespaces: map[string]*namespaceQueue{}, places: map[cache.ObjectName]*list.Element{},
	}
}

// Push implements workqueue.Queue.
func (q *fairQueue) Push(key cache.ObjectName) {
	if q.places[key] != nil {
		q.Touch(key)
		return
	}
	n := q.namespaces[key.Namespace]
	if n == nil {
		n = &namespaceQueue{name: key.Namespace}
		q.namespaces[key.Namespace] = n
		q.turns.PushBack(n)
	}
	p := q.priorityOf(key)
	q.places[key] = n.keys[p].PushBack(waitingKey{key: key, priority: p, since: q.clock.Now()})
}

// Touch implements workqueue.Queue: a key whose priority has risen moves up, and counts as
// one that has just come.
func (q *fairQueue) Touch(key cache.ObjectName) {
	place := q.places[key]
	if place == nil {
		return
	}
	p, before := q.priorityOf(key), waitingAt(place)
	if p >= before.priority {
		return
	}
	n := q.namespaces[key.Namespace]
	n.keys[before.priority].Remove(place)
	q.places[key] = n.keys[p].PushBack(waitingKey{key: key, priority: p, since: q.clock.Now()})
}

// Len implements workqueue.Queue.
func (q *fairQueue) Len() int { return len(q.places) }

// Pop implements workqueue.Queue. The queue is not empty.
func (q *fairQueue) Pop() cache.ObjectName {
	turn := q.turns.Front()
	n := turn.Value.(*namespaceQueue) //nolint:forcetypeassert // nothing else is in this list
	now := q.clock.Now()
	next := waitingAt(n.next(now))
	n.keys[next.priority].Remove(q.places[next.key])
	delete(q.places, next.key)
	if n.empty() {
		q.turns.Remove(turn)
		delete(q.namespaces, n.name)
	} else {
		q.turns.MoveToBack(turn)
	}
	q.waited(next.priority, now.Sub(next.since))
	return next.key
}

// next is the key whose turn it is in a namespace that has keys.
func (n *namespaceQueue) next(now time.Time) *list.Element {
	var first, overdue *list.Element
	for p := range n.keys {
		head := n.keys[p].Front()
		switch {
		case head == nil:
		case first == nil:
			first = head
		case now.Sub(waitingAt(head).since) >= maxOvertake && (overdue == nil || waitingAt(head).since.Before(waitingAt(overdue).since)):
			overdue = head
		}
	}
	if n.overdue = overdue != nil && !n.overdue; n.overdue {
		return overdue
	}
	return first
}

func (n *namespaceQueue) empty() bool {
	for p := range n.keys {
		if n.keys[p].Len() > 0 {
			return false
		}
	}
	return true
}

func waitingAt(e *list.Element) waitingKey {
	return e.Value.(waitingKey) //nolint:forcetypeassert // nothing else is in these lists
}
