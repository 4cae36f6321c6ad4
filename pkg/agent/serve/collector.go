package serve

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// maxWaiting bounds the jobs whose demand is added up where they have to be listed: a list
// of so many takes the broker some 50 ms. How many more there are is a number of its own.
const maxWaiting = 10_000

// requestAttrs are what has to be known of a job that waits, and no more: a list is
// mostly the writing and reading of it. A job that is held has priority 0, whatever
// its urgency was set to.
var requestAttrs = [...]string{"queue", "priority", "nnodes", "ncores", "ntasks"}

// collector collects the numbers over one connection.
type collector struct {
	client  *flux.Client
	version string
	// jobs are those that wait; nil where they have to be listed.
	jobs *pendingJobs
	// refused is when there was no journal although this version of Flux has one.
	refused time.Time
}

// journalAgain is how long jobs are listed before a journal that was refused is asked for again.
const journalAgain = time.Minute

// newCollector makes a collector, which reads the journal of jobs if it may, and if there is one.
func newCollector(ctx context.Context, client *flux.Client, journal bool) (*collector, error) {
	version, err := client.Attr(ctx, "version")
	if err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
	c := &collector{client: client, version: version}
	if journal && hasJournal(version) {
		c.jobs = newPendingJobs()
		if err := client.Journal(ctx, c.jobs, journalEvents[:]...); err != nil {
			return nil, fmt.Errorf("collect metrics: %w", err)
		}
	}
	return c, nil
}

// hasJournal says whether that version of Flux has a journal of jobs that says what they
// ask for.
func hasJournal(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major > 0 || minor >= 61)
}

// isStale tells whether a new collector is needed.
func (c *collector) isStale() bool {
	if c.jobs != nil {
		return c.jobs.isStale()
	}
	return !c.refused.IsZero() && time.Since(c.refused) > journalAgain
}

// allocations is how many jobs were heard of that got resources.
func (c *collector) allocations() int {
	if c.jobs == nil {
		return 0
	}
	return c.jobs.allocations()
}

// settlings is how often the numbers of nodes and of jobs are looked at again, because a job has
// gone from one to the other in between: it would be in neither.
const settlings = 3

// collect asks everything at once.
func (c *collector) collect(ctx context.Context) (*snapshot, error) {
	s := &snapshot{at: time.Now(), version: c.version}
	var queues []flux.QueueStatus
	var known int
	client := c.client
	before := c.allocations()
	all, asking := errgroup.WithContext(ctx)
	all.Go(func() (err error) { s.state, err = client.State(asking); return })
	all.Go(func() (err error) { s.status, err = client.ResourceStatus(asking); return })
	all.Go(func() (err error) { s.sched, err = client.SchedStatus(asking); return })
	all.Go(func() (err error) { known, err = client.KnownJobs(asking); return })
	all.Go(func() (err error) { queues, err = client.Queues(asking); return })
	all.Go(func() (err error) { s.stats, err = client.JobStats(asking); return })
	all.Go(func() error {
		health, err := client.OverlayHealth(asking, flux.Leader)
		s.health = health.Status
		return err
	})
	if err := all.Wait(); err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
	// The job manager has answered: whatever it knew of jobs when it was asked was heard.
	waiting, err := c.waiting(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
	for range settlings {
		now := c.allocations()
		if now == before {
			break
		}
		before = now
		if waiting, err = c.settle(ctx, s); err != nil {
			return nil, fmt.Errorf("collect metrics: %w", err)
		}
	}
	// The numbers are of moments close to each other, not of the same one.
	s.fresh = max(0, known-s.stats.States.Total)
	stopped := map[string]bool{}
	for _, q := range queues {
		stopped[q.Name] = !q.Started
	}
	drained := s.status.DrainedRanks()
	s.demand = demandOf(situation{
		all: s.sched.All, allocated: s.sched.Allocated, waiting: waiting, stopped: stopped,
		drained: drained, broken: drained.Without(s.status.DrainedFor(control.Reason)),
	})
	return s, nil
}

// settle asks for what nodes are in use and which jobs wait, once more.
func (c *collector) settle(ctx context.Context, s *snapshot) (map[jobRequest]int, error) {
	var err error
	if s.sched, err = c.client.SchedStatus(ctx); err != nil {
		return nil, err
	}
	// When it has answered, all was heard that the scheduler had done until then.
	if _, err = c.client.KnownJobs(ctx); err != nil {
		return nil, err
	}
	return c.waiting(ctx, s)
}

// waiting counts the jobs that wait, and those that are not in the counts.
func (c *collector) waiting(ctx context.Context, s *snapshot) (map[jobRequest]int, error) {
	if c.jobs != nil {
		counts, err := c.jobs.await(ctx, c.client.Done())
		if err == nil || ctx.Err() != nil || c.client.Err() != nil {
			return counts, err
		}
		klog.FromContext(ctx).Info("Jobs are listed to find what they want", "reason", err.Error())
		c.jobs, c.refused = nil, time.Now()
	}
	if s.stats.States.Sched == 0 {
		return nil, nil
	}
	jobs, err := c.client.Jobs(ctx, flux.JobSched, maxWaiting, requestAttrs[:]...)
	if err != nil {
		return nil, err
	}
	if len(jobs) == maxWaiting {
		s.uncounted = max(0, s.stats.States.Sched-maxWaiting)
	}
	return countRequests(jobs), nil
}

// countRequests counts what listed jobs want.
func countRequests(jobs []flux.Job) map[jobRequest]int {
	counts := map[jobRequest]int{}
	for _, job := range jobs {
		if !job.Held() {
			counts[requestOfJob(job)]++
		}
	}
	return counts
}
