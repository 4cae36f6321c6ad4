package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// queue simulates the queue of Flux: jobs that need a node each run on the ranks that are up, lowest first.
type queue struct {
	mu   sync.Mutex
	jobs []*job
}

type job struct {
	duration time.Duration
	// rank is where the job runs, since started. It has ended if end is set.
	rank         int
	started, end time.Time
}

// submit adds jobs.
func (q *queue) submit(number int, duration time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range number {
		q.jobs = append(q.jobs, &job{duration: duration})
	}
}

// tick ends jobs, and starts others on ranks that are up and free.
func (q *queue) tick(now time.Time, up []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := slices.Sorted(slices.Values(up))
	for _, j := range q.jobs {
		switch {
		case j.started.IsZero() || !j.end.IsZero():
		case now.Sub(j.started) >= j.duration:
			j.end = now
		default:
			free = slices.DeleteFunc(free, func(rank int) bool { return rank == j.rank })
		}
	}
	for _, j := range q.jobs {
		if j.started.IsZero() && len(free) > 0 {
			j.rank, j.started, free = free[0], now, free[1:]
		}
	}
}

// counts returns how many jobs wait, run and have ended, and the highest rank that runs one, -1 for none.
func (q *queue) counts() (pending, running, ended, highest int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	highest = -1
	for _, j := range q.jobs {
		switch {
		case j.started.IsZero():
			pending++
		case j.end.IsZero():
			running++
			highest = max(highest, j.rank)
		default:
			ended++
		}
	}
	return pending, running, ended, highest
}

// exposition returns the metrics that the agent of such a queue serves. As in Flux, a job on a high rank keeps the
// ranks below it.
func (q *queue) exposition() string {
	pending, running, _, highest := q.counts()
	return fmt.Sprintf("flux_nodes_demanded %d", max(pending+running, highest+1))
}
