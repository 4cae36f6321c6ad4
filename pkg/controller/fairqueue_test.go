package controller

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"
)

// queueTest is a fairQueue whose keys have the priority of the last part of their name:
// "b/resize-0", "b/create-0", "b/ready-0", unless changed.
type queueTest struct {
	*fairQueue
	clock   *testclock.FakeClock
	changed map[cache.ObjectName]priority
}

func newQueueTest() *queueTest {
	q := &queueTest{clock: testclock.NewFakeClock(time.Unix(1_000_000, 0)), changed: map[cache.ObjectName]priority{}}
	q.fairQueue = newFairQueue(q.clock, q.priority, func(priority, time.Duration) {})
	return q
}

func (q *queueTest) priority(key cache.ObjectName) priority {
	if p, ok := q.changed[key]; ok {
		return p
	}
	switch {
	case strings.HasPrefix(key.Name, "resize"):
		return priorityChange
	case strings.HasPrefix(key.Name, "create"):
		return priorityCreation
	default:
		return priorityReadiness
	}
}

func (q *queueTest) push(keys ...string) {
	for _, key := range keys {
		q.Push(objectName(key))
	}
}

// pop takes n keys, or all.
func (q *queueTest) pop(n int) []string {
	var keys []string
	for ; n != 0 && q.Len() > 0; n-- {
		keys = append(keys, q.Pop().String())
	}
	return keys
}

func objectName(text string) cache.ObjectName {
	namespace, name, _ := strings.Cut(text, "/")
	return cache.NewObjectName(namespace, name)
}

func numbered(format string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(format, i)
	}
	return keys
}

func TestFairQueueOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		play func(q *queueTest)
		want []string
	}{
		{"first come, first served", func(q *queueTest) { q.push("a/create-1", "a/create-0") }, []string{"a/create-1", "a/create-0"}},
		{"by priority", func(q *queueTest) { q.push("a/ready", "a/create", "a/resize") }, []string{"a/resize", "a/create", "a/ready"}},
		{"namespaces take turns", func(q *queueTest) {
			q.push(numbered("b/create-%d", 3)...)
			q.push("a/ready", "a/resize")
		}, []string{"b/create-0", "a/resize", "b/create-1", "a/ready", "b/create-2"}},
		{"a key is there once", func(q *queueTest) {
			q.push("a/create", "a/create")
			q.Touch(objectName("a/create"))
			q.Touch(objectName("a/absent"))
		}, []string{"a/create"}},
		{"a key moves up", func(q *queueTest) {
			q.push("a/create", "a/ready")
			q.changed[objectName("a/ready")] = priorityChange
			q.Touch(objectName("a/ready"))
		}, []string{"a/ready", "a/create"}},
		{"a key does not move down", func(q *queueTest) {
			q.push("a/resize", "a/create")
			q.changed[objectName("a/resize")] = priorityReadiness
			q.Touch(objectName("a/resize"))
		}, []string{"a/resize", "a/create"}},
		{"overdue keys get every second turn", func(q *queueTest) {
			q.push("a/create-0", "a/create-1", "a/ready")
			q.clock.Step(maxOvertake)
			q.push(numbered("a/resize-%d", 4)...)
		}, []string{"a/create-0", "a/resize-0", "a/create-1", "a/resize-1", "a/ready", "a/resize-2", "a/resize-3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			q := newQueueTest()
			tc.play(q)
			assert.Equal(t, tc.want, q.pop(-1))
			assert.Empty(t, q.namespaces)
			assert.Zero(t, q.turns.Len())
		})
	}
}

// While a tenant resizes all the time, its own creation waits for at most maxOvertake, and one of another tenant for
// a turn.
func TestFairQueueBoundsWaits(t *testing.T) {
	t.Parallel()
	q := newQueueTest()
	q.push("b/create", "b/ready")
	for i := range 1000 {
		q.push(fmt.Sprintf("b/resize-%d", i), fmt.Sprintf("b/resize-%d-too", i))
		if i == 50 {
			q.push("a/create")
		}
		popped := q.pop(1)
		switch {
		case i == 51:
			require.Equal(t, []string{"a/create"}, popped)
		case time.Duration(i)*time.Second < maxOvertake || i > 32:
			require.Contains(t, popped[0], "b/resize")
		case i == 30:
			require.Equal(t, []string{"b/create"}, popped, "after half a minute")
		case i == 32:
			require.Equal(t, []string{"b/ready"}, popped)
		}
		q.clock.Step(time.Second)
	}
}

// FuzzFairQueue plays pushes, touches, pops and time, and compares them with a set of keys.
// No namespace that has keys gets two turns while another one gets none.
func FuzzFairQueue(f *testing.F) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 0))
		sequence := make([]byte, 400)
		for i := range sequence {
			sequence[i] = byte(random.Uint32())
		}
		f.Add(sequence)
	}
	f.Fuzz(func(t *testing.T, sequence []byte) {
		q, waiting := newQueueTest(), map[cache.ObjectName]time.Time{}
		// served is when a namespace got a turn, or its first key.
		served, last := map[string]int{}, map[string]int{}
		for turn, b := range sequence {
			key := objectName(fmt.Sprintf("%c/%d", 'a'+b>>3&3, b>>5))
			switch b & 7 {
			case 0, 1:
				q.changed[key] = priority(turn % int(priorities))
				if _, ok := waiting[key]; ok {
					q.Touch(key)
					continue
				}
				if q.namespaces[key.Namespace] == nil {
					served[key.Namespace] = turn
				}
				q.Push(key)
				waiting[key] = q.clock.Now()
			case 2:
				q.clock.Step(time.Duration(b) * time.Second / 16)
			default:
				if q.Len() == 0 {
					continue
				}
				got := q.Pop()
				require.Contains(t, waiting, got, "not waiting")
				delete(waiting, got)
				for other := range q.namespaces {
					require.GreaterOrEqual(t, served[other], last[got.Namespace], "%s is skipped", other)
				}
				served[got.Namespace], last[got.Namespace] = turn, turn
			}
			require.Equal(t, len(waiting), q.Len())
		}
		for range len(waiting) {
			got := q.Pop()
			require.Contains(t, waiting, got)
			delete(waiting, got)
		}
		require.Empty(t, q.places)
		require.Empty(t, q.namespaces)
	})
}

// The work queue loses no key and gives none to two workers.
func TestFairQueueWithWorkers(t *testing.T) {
	t.Parallel()
	test := newQueueTest()
	q := newQueue(test.clock, test.fairQueue)
	const keys, rounds = 50, 200
	var wanted, done [keys]atomic.Int64
	var busy [keys]atomic.Bool
	number := func(key cache.ObjectName) (n int) {
		_, _ = fmt.Sscanf(key.Name[strings.LastIndex(key.Name, "-")+1:], "%d", &n)
		return n
	}
	var workers, users sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				key, shutdown := q.Get()
				if shutdown {
					return
				}
				n := number(key)
				if !busy[n].CompareAndSwap(false, true) {
					t.Errorf("two workers have %s", key)
				}
				done[n].Store(wanted[n].Load())
				busy[n].Store(false)
				q.Done(key)
			}
		})
	}
	for user := range 4 {
		users.Go(func() {
			random := rand.New(rand.NewPCG(uint64(user), 0))
			for range rounds {
				n := random.IntN(keys)
				wanted[n].Add(1)
				q.Add(cache.NewObjectName(fmt.Sprint(n%5), fmt.Sprintf("%s-%d", []string{"resize", "create", "ready"}[n%3], n)))
			}
		})
	}
	users.Wait()
	q.ShutDownWithDrain()
	workers.Wait()
	for n := range keys {
		assert.Equal(t, wanted[n].Load(), done[n].Load(), "key %d", n)
	}
}
