package serve

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/flux"
)

// minInterval is how long numbers are good, for scrapers that come together.
const minInterval = time.Second

// snapshot is what the metrics say, as of one moment.
type snapshot struct {
	at      time.Time
	version string
	state   string
	health  string
	status  flux.ResourceStatus
	sched   flux.SchedStatus
	stats   flux.JobStats
	// fresh are jobs that the broker has taken in, in none of the states of stats
	// yet.
	fresh int
	// uncounted are waiting jobs that are not in the demand.
	uncounted int
	demand    demand
}

// exporter serves the metrics.
type exporter struct {
	// broker is for it alone.
	broker *conn
	// interval is how long a snapshot is good.
	interval time.Duration
	// turn holds the last snapshot, nil for none. Who takes it out collects
	// alone, and puts one back.
	turn chan *snapshot
	// collector is the last one, nil for none. Who has the turn may use it.
	collector *collector
	// listing says that the journal of jobs can't be read, for its length.
	listing bool
}

func newExporter(broker *conn) *exporter {
	e := &exporter{broker: broker, interval: minInterval, turn: make(chan *snapshot, 1)}
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
	if last != nil && time.Since(last.at) < e.interval {
		return last, nil
	}
	last = nil
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	var err error
	last, err = e.collector.collect(ctx)
	return last, err
}

// connect sees to it that there is a collector that works.
func (e *exporter) connect(ctx context.Context) error {
	client, err := e.broker.client(ctx)
	if err != nil {
		return err
	}
	if e.collector != nil && e.collector.client == client {
		if !e.collector.isStale() {
			return nil
		}
		client.Close() // so that the broker forgets what we listen to
		if client, err = e.broker.client(ctx); err != nil {
			return err
		}
	}
	// A jobspec with files in it may be too long to be read, and would be sent again.
	if e.collector != nil && errors.Is(e.collector.client.Err(), flux.ErrTooLarge) && !e.listing {
		e.listing = true
		klog.FromContext(ctx).Info("Jobs are listed to find what they want", "reason", e.collector.client.Err().Error())
	}
	e.collector, err = newCollector(ctx, client, !e.listing)
	return err
}
