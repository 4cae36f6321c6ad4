package serve

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/flux"
)

// minInterval is how long numbers are valid, for several scrapers.
const minInterval = time.Second

// exporter serves the metrics.
type exporter struct {
	// broker is used by the exporter only.
	broker *conn
	// application is the directory with the metrics of the application, "" for none.
	application string
	// interval is how long a snapshot is valid.
	interval time.Duration
	// turn holds the last snapshot, nil for none. A function that takes it collects exclusively, and puts one into the
	// channel afterwards.
	turn chan *snapshot
	// collector is the last one, nil for none. Only the function that has the turn may use it.
	collector *collector
	// listing is when jobs were listed because an entry of the journal was too long, zero if it can be read.
	listing time.Time
}

func newExporter(broker *conn, application string) *exporter {
	e := &exporter{broker: broker, application: application, interval: minInterval, turn: make(chan *snapshot, 1)}
	e.turn <- nil
	return e
}

// ServeHTTP responds with current numbers, or with flux_up 0 if the broker does not provide them: never with old
// ones.
func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	s, err := e.snapshot(ctx)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("No metrics", "reason", err.Error())
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	// A client that has disconnected needs no response.
	_, _ = w.Write(exposition(s, appmetric.Read(e.application, time.Now())))
}

// snapshot returns the last snapshot if it is recent, or collects a new one.
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
	if err != nil && errors.Is(e.collector.client.Err(), flux.ErrTooLarge) && e.listing.IsZero() {
		// This scrape gets the numbers, not the next one.
		if err = e.connect(ctx); err == nil {
			last, err = e.collector.collect(ctx)
		}
	}
	return last, err
}

// connect ensures that there is a working collector.
func (e *exporter) connect(ctx context.Context) error {
	client, err := e.broker.client(ctx)
	if err != nil {
		return err
	}
	if e.collector != nil && e.collector.client == client {
		if !e.collector.isStale() && !e.readsAgain() {
			return nil
		}
		client.Close() // ends the journal in the broker
		if client, err = e.broker.client(ctx); err != nil {
			return err
		}
	}
	// A jobspec with embedded files may exceed the limit, and the journal would contain it again.
	switch {
	case e.readsAgain():
		e.listing = time.Time{}
	case e.collector != nil && errors.Is(e.collector.client.Err(), flux.ErrTooLarge) && e.listing.IsZero():
		e.listing = time.Now()
		klog.FromContext(ctx).Info("Listing jobs instead of reading the journal", "reason", e.collector.client.Err().Error())
	}
	e.collector, err = newCollector(ctx, client, e.listing.IsZero())
	return err
}

// readsAgain reports whether to try the journal again: the job whose entry is too long may be gone.
func (e *exporter) readsAgain() bool {
	return !e.listing.IsZero() && time.Since(e.listing) > journalAgain
}
