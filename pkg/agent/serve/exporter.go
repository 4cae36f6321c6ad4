package serve

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/control"
	"minicluster.internal/operator/pkg/flux"
)

const (
	// maxWaiting bounds the jobs whose demand is added up. More of them want more
	// than any cluster has.
	maxWaiting = 10_000
	// minInterval is how long numbers are good, for scrapers that come together.
	minInterval = time.Second
)

// snapshot is what the metrics say, as of one moment.
type snapshot struct {
	at      time.Time
	version string
	state   string
	health  string
	status  flux.ResourceStatus
	sched   flux.SchedStatus
	stats   flux.JobStats
	demand  demand
}

// exporter serves the metrics.
type exporter struct {
	broker *link
	// turn holds the last snapshot, nil for none. Who takes it out collects
	// alone, and puts one back.
	turn chan *snapshot
}

func newExporter(broker *link) *exporter {
	e := &exporter{broker: broker, turn: make(chan *snapshot, 1)}
	e.turn <- nil
	return e
}

// ServeHTTP answers with numbers of this moment, or, when the broker does not tell
// them, that there are none: never with old ones.
func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	s, err := e.snapshot(ctx)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("No metrics", "reason", err.Error())
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	// A client that has gone needs no answer.
	_, _ = w.Write(exposition(s))
}

// snapshot returns what was collected a moment ago, or collects.
func (e *exporter) snapshot(ctx context.Context) (*snapshot, error) {
	var last *snapshot
	select {
	case last = <-e.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { e.turn <- last }()
	if last != nil && time.Since(last.at) < minInterval {
		return last, nil
	}
	client, err := e.broker.client(ctx)
	if err != nil {
		return nil, err
	}
	last, err = collect(ctx, client)
	return last, err
}

// collect asks everything at once.
func collect(ctx context.Context, client *flux.Client) (*snapshot, error) {
	s := &snapshot{at: time.Now()}
	var queues []flux.QueueStatus
	var waiting []flux.Job
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { s.version, err = client.Attr(ctx, "version"); return })
	all.Go(func() (err error) { s.state, err = client.State(ctx); return })
	all.Go(func() (err error) { s.status, err = client.ResourceStatus(ctx); return })
	all.Go(func() (err error) { s.sched, err = client.SchedStatus(ctx); return })
	all.Go(func() (err error) { queues, err = client.Queues(ctx); return })
	all.Go(func() error {
		health, err := client.OverlayHealth(ctx, flux.Leader)
		s.health = health.Status
		return err
	})
	all.Go(func() (err error) {
		if s.stats, err = client.JobStats(ctx); err != nil || s.stats.States.Sched == 0 {
			return err
		}
		waiting, err = client.Jobs(ctx, flux.JobSched, maxWaiting)
		return err
	})
	if err := all.Wait(); err != nil {
		return nil, fmt.Errorf("collect metrics: %w", err)
	}
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
