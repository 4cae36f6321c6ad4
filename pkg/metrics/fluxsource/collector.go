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

// maxExposition limits the size of a response of an agent, which normally has 5 KB. The image of the
// pod belongs to a user, so the memory that fifty concurrent responses take must be limited.
const maxExposition = 32 << 10

// target is an agent to query.
type target struct {
	cluster types.NamespacedName
	pod     types.UID
	address string
}

// sample is the last result of querying an agent.
type sample struct {
	pod types.UID
	// asked is the time of the query by the local clock.
	asked time.Time
	numbers
	err error
}

// collector queries agents in rounds, which do not overlap.
type collector struct {
	targets     func() []target
	parser      *parser
	client      *http.Client
	concurrency int
	timeout     time.Duration
	observe     *observer

	mu      sync.RWMutex
	samples map[types.NamespacedName]sample
}

// newClient returns an HTTP client for agents. It has small buffers because there may be thousands of
// connections, uses no proxy and follows no redirects.
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

// round queries every agent once and returns when all have responded or timed out.
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
			s := c.query(ctx, t)
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

// failedLast moves the agents that failed in the last round to the end, so that they do not delay the
// others if they hang again.
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

// query returns the values of an agent, or a sample with an error.
func (c *collector) query(ctx context.Context, t target) sample {
	s := sample{pod: t.pod, asked: time.Now()}
	s.numbers, s.err = c.fetch(ctx, t.address)
	// Clocks of nodes differ, and staleness is measured by the local one. The values of an agent
	// are at most a second old.
	if s.at.IsZero() || s.at.After(s.asked) {
		s.at = s.asked
	}
	return s
}

func (c *collector) fetch(ctx context.Context, address string) (numbers, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return numbers{}, fmt.Errorf("querying its agent: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return numbers{}, fmt.Errorf("failed to reach its agent: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxExposition+1))
	if response.StatusCode != http.StatusOK {
		return numbers{}, fmt.Errorf("its agent returned status %s", response.Status)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return numbers{}, fmt.Errorf("its agent did not respond in time: %w", err)
	case err != nil:
		return numbers{}, fmt.Errorf("reading the metrics of its agent: %w", err)
	case len(body) > maxExposition:
		return numbers{}, fmt.Errorf("parsing the metrics of its agent: they are larger than %d KiB", maxExposition>>10)
	}
	return c.parser.parse(body)
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
		logger.Info("Failed to collect metrics", "reason", s.err.Error())
	case s.err == nil && before.err != nil:
		logger.Info("Collecting metrics succeeded again")
	}
}

// errNotYet is returned for a new lead pod, which no round has queried.
var errNotYet = errors.New("its agent has not been queried yet")

// latest returns the last sample of the agent in a pod, or an error if it failed or is too old.
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
		return sample{}, fmt.Errorf("its values are %s old", age.Round(time.Second))
	}
	return s, nil
}

// hasApplicationMetric reports whether the application of a MiniCluster in a namespace has set a metric.
func (c *collector) hasApplicationMetric(namespace, name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for cluster, s := range c.samples {
		if _, set := s.application[name]; set && cluster.Namespace == namespace {
			return true
		}
	}
	return false
}
