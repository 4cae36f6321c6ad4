package serve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// maxWaiting limits the number of jobs in the demand if jobs have to be listed: such a list takes the broker about 50
// ms. The number of further jobs is a separate metric.
const maxWaiting = 10_000

// requestAttrs are the attributes that are needed of a pending job, and no more: the cost of a list is mostly its
// encoding. A held job has priority 0, whatever its urgency was.
var requestAttrs = [...]string{"queue", "priority", "nnodes", "ncores", "ntasks"}

// snapshot is the content of the metrics at one moment.
type snapshot struct {
	at      time.Time
	version string
	state   string
	health  string
	status  flux.ResourceStatus
	sched   flux.SchedStatus
	stats   flux.JobStats
	// fresh is the number of jobs that the broker has accepted and that are in no state of stats yet.
	fresh int
	// uncounted is the number of pending jobs that the demand does not include.
	uncounted int
	demand    demand
}

// collector collects the numbers over one connection.
type collector struct {
	client  *flux.Client
	version string
	// jobs are the pending ones; nil if they have to be listed.
	jobs *pendingJobs
	// refused is when the journal was refused although this version of Flux has one.
	refused time.Time
}

// journalAgain is how long jobs are listed before a refused journal is requested again.
const journalAgain = time.Minute

// newCollector makes a collector, which reads the journal of jobs if journal is set and Flux has one.
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

// hasJournal reports whether a version of Flux has a journal that contains jobspecs.
func hasJournal(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major > 0 || minor >= 61)
}

// isStale reports whether a new collector is needed.
func (c *collector) isStale() bool {
	if c.jobs != nil {
		return c.jobs.isStale()
	}
	return !c.refused.IsZero() && time.Since(c.refused) > journalAgain
}

// allocations returns how many jobs got resources according to the journal.
func (c *collector) allocations() int {
	if c.jobs == nil {
		return 0
	}
	return c.jobs.allocations()
}

// settlings is how often the numbers of nodes and of jobs are read again because a job got resources in between: it
// would be in neither.
const settlings = 3

// collect queries everything concurrently.
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
	// The job manager has responded: the follower knows everything that the job manager knew before.
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
	s.demand = demandOf(situation{
		all: s.sched.All, allocated: s.sched.Allocated, waiting: waiting, stopped: stopped,
		drained: s.status.DrainedRanks(), broken: brokenRanks(s.status),
	})
	return s, nil
}

// brokenRanks returns the drained ranks that other ranks have to replace. Those that the agent drained for a smaller
// size are undrained for a larger one, and those of pods that stop when other pods replace them. Ranks whose pods have
// left their nodes are undrained when the pods run on other nodes. As long as a pod stays on a node that is cordoned,
// its rank is replaced, because that may take any time.
func brokenRanks(status flux.ResourceStatus) flux.IDSet {
	broken := status.DrainedRanks().Without(status.DrainedFor(control.Reason)).Without(status.DrainedFor(control.ReasonPodStops))
	for _, d := range status.Drained {
		if strings.HasPrefix(d.Reason, control.NodePrefix) {
			broken = broken.Without(d.Ranks.Intersect(status.Offline))
		}
	}
	return broken
}

// settle reads the allocated nodes and the pending jobs once more.
func (c *collector) settle(ctx context.Context, s *snapshot) (map[jobRequest]int, error) {
	var err error
	if s.sched, err = c.client.SchedStatus(ctx); err != nil {
		return nil, err
	}
	// After this response the follower knows everything that the scheduler had done before.
	if _, err = c.client.KnownJobs(ctx); err != nil {
		return nil, err
	}
	return c.waiting(ctx, s)
}

// waiting counts the pending jobs, and those that the counts do not include.
func (c *collector) waiting(ctx context.Context, s *snapshot) (map[jobRequest]int, error) {
	if c.jobs != nil {
		counts, err := c.jobs.await(ctx, c.client.Done())
		if err == nil || ctx.Err() != nil || c.client.Err() != nil {
			return counts, err
		}
		klog.FromContext(ctx).Info("Listing jobs instead of reading the journal", "reason", err.Error())
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

// countRequests counts listed jobs by their request.
func countRequests(jobs []flux.Job) map[jobRequest]int {
	counts := map[jobRequest]int{}
	for _, job := range jobs {
		if !job.Held() {
			counts[requestOfJob(job)]++
		}
	}
	return counts
}
