package fluxsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// maxExposition bounds what is read of an agent's answer, which has some 5 KB.
// The image in that pod is a user's: what it may make us hold, fifty times at once, is bounded.
const maxExposition = 32 << 10

// target is an agent to ask.
type target struct {
	cluster types.NamespacedName
	pod     types.UID
	address string
}

// sample is what one agent said last.
type sample struct {
	pod types.UID
	// asked is when, by our clock; at is when the numbers were so.
	asked, at time.Time
	values    []float64
	err       error
}

// collector asks agents in rounds. No round begins before the last one has ended.
type collector struct {
	targets     func() []target
	metrics     []metric
	client      *http.Client
	concurrency int
	timeout     time.Duration
	observe     *observer

	mu      sync.RWMutex
	samples map[types.NamespacedName]sample
}

// newClient is a client for agents: small buffers, since there may be thousands of
// connections, no proxy, and no way to anywhere else.
func newClient(concurrency int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         new(net.Dialer).DialContext,
			MaxIdleConnsPerHost: 1,
			MaxIdleConns:        4 * concurrency,
			IdleConnTimeout:     30 * time.Second,
			ReadBufferSize:      4 << 10,
			WriteBufferSize:     1 << 10,
			DisableCompression:  true,

			MaxResponseHeaderBytes: 4 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// round asks every agent once and returns when all have answered or had their time.
func (c *collector) round(ctx context.Context) {
	begin := time.Now()
	targets := c.targets()
	c.failedLast(targets)
	var group errgroup.Group
	group.SetLimit(c.concurrency)
	known := make(map[types.NamespacedName]bool, len(targets))
	for _, t := range targets {
		known[t.cluster] = true
		group.Go(func() error {
			s := c.ask(ctx, t)
			if ctx.Err() == nil {
				c.store(ctx, t, s)
			}
			return nil
		})
	}
	_ = group.Wait()
	c.mu.Lock()
	for cluster := range c.samples {
		if !known[cluster] {
			delete(c.samples, cluster)
		}
	}
	c.mu.Unlock()
	c.observe.round(len(targets), time.Since(begin))
}

// failedLast puts the agents last that had no answer: should they hang again, the numbers of the
// others are not late for that.
func (c *collector) failedLast(targets []target) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	failed := func(t target) int {
		if c.samples[t.cluster].err != nil {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(targets, func(a, b target) int { return failed(a) - failed(b) })
}

// ask has an agent's numbers, or why it has none.
func (c *collector) ask(ctx context.Context, t target) sample {
	s := sample{pod: t.pod, asked: time.Now()}
	s.values, s.at, s.err = c.fetch(ctx, t.address)
	// Clocks of nodes differ; ours is the one that staleness is measured by. The
	// agent's own numbers are never older than a second.
	if s.at.IsZero() || s.at.After(s.asked) {
		s.at = s.asked
	}
	return s
}

func (c *collector) fetch(ctx context.Context, address string) ([]float64, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("asking its agent: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("its agent does not answer: %w", err)
	}
	defer response.Body.Close()
	body := io.LimitReader(response.Body, maxExposition)
	if response.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, body)
		return nil, time.Time{}, fmt.Errorf("its agent answers %s", response.Status)
	}
	values, at, err := parse(body, c.metrics)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("its agent does not answer in time: %w", err)
	}
	return values, at, err
}

func (c *collector) store(ctx context.Context, t target, s sample) {
	c.observe.collected(s.err)
	c.mu.Lock()
	before := c.samples[t.cluster]
	c.samples[t.cluster] = s
	c.mu.Unlock()
	logger := klog.FromContext(ctx).WithValues("minicluster", klog.KRef(t.cluster.Namespace, t.cluster.Name), "address", t.address)
	switch {
	case s.err != nil && before.err == nil:
		logger.Info("No metrics", "reason", s.err.Error())
	case s.err == nil && before.err != nil:
		logger.Info("Metrics again")
	}
}

// errNotYet: the lead pod is new, and no round has asked it.
var errNotYet = errors.New("its agent was not asked yet")

// latest is what the agent in a pod said last, if that is not too long ago.
func (c *collector) latest(cluster types.NamespacedName, pod types.UID, maxAge time.Duration) (sample, error) {
	c.mu.RLock()
	s, ok := c.samples[cluster]
	c.mu.RUnlock()
	switch age := time.Since(s.asked); {
	case !ok || s.pod != pod:
		return sample{}, errNotYet
	case s.err != nil:
		return sample{}, s.err
	case age > maxAge:
		return sample{}, fmt.Errorf("its numbers are %s old", age.Round(time.Second))
	}
	return s, nil
}
