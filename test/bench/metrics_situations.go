package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
)

// watchAll measures every situation.
func (m *metricsLab) watchAll(ctx context.Context, r *metricsResults) error {
	if err := m.poll(ctx, "the numbers of all MiniClusters", func(ctx context.Context) (bool, error) {
		values, err := m.values(ctx)
		return err == nil && len(values) == m.options.N, nil //nolint:nilerr // not yet
	}); err != nil {
		return err
	}
	for _, s := range []struct {
		name    string
		hanging int
		asked   bool
	}{
		{name: "no requests"},
		{name: fmt.Sprintf("%d autoscalers query every %s", m.options.N, m.options.Period), asked: true},
		{name: "1 agent hangs", hanging: 1},
		{name: fmt.Sprintf("%d agents hang", m.options.Hanging), hanging: m.options.Hanging},
	} {
		m.say("%s, for %s", s.name, m.options.Duration)
		m.agents.hang(s.hanging)
		result, err := m.watch(ctx, s.asked)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		result.situation = s.name
		if err := m.check(ctx, s.hanging, result); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.situations = append(r.situations, *result)
	}
	return nil
}

// watch measures the process for a while.
func (m *metricsLab) watch(ctx context.Context, asked bool) (*situation, error) {
	// Wait for the end of work that started in the previous situation.
	if err := sleep(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	before, err := m.reading(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if asked {
		err = m.askLikeAutoscalers(ctx)
	} else {
		err = sleep(ctx, m.options.Duration)
	}
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	after, err := m.reading(ctx)
	if err != nil {
		return nil, err
	}
	return between(before, after, took), nil
}

// askLikeAutoscalers queries a metric of each MiniCluster once per period, through the API server.
func (m *metricsLab) askLikeAutoscalers(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(50)
	tick := time.NewTicker(m.options.Period / time.Duration(m.options.N))
	defer tick.Stop()
	for i, begin := 0, time.Now(); time.Since(begin) < m.options.Duration; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		index := i % m.options.N
		group.Go(func() error {
			values, err := m.ask(ctx, nameOf(index))
			if err == nil && (len(values) != 1 || values[0].Value.Value() != int64(index)) {
				err = fmt.Errorf("%s has the value %v", nameOf(index), values)
			}
			return err
		})
	}
	return group.Wait()
}

// check checks that the value of every MiniCluster is available, correct and recent, except for agents that do not
// respond.
func (m *metricsLab) check(ctx context.Context, hanging int, s *situation) error {
	values, err := m.values(ctx)
	if err != nil {
		return err
	}
	for index, value := range values {
		if got := value.Value.Value(); got != int64(index) {
			return fmt.Errorf("%s has the value %d", nameOf(index), got)
		}
		s.oldest = max(s.oldest, time.Since(value.Timestamp.Time))
	}
	if len(values) != m.options.N-hanging {
		return fmt.Errorf("%d MiniClusters have values, %d agents respond", len(values), m.options.N-hanging)
	}
	if n := m.agents.overlaps.Load(); n > 0 {
		return fmt.Errorf("agents were queried before they had responded, %d times", n)
	}
	return nil
}

// values returns the values of all MiniClusters that have one, by their numbers.
func (m *metricsLab) values(ctx context.Context) (map[int]v1beta2.MetricValue, error) {
	list, err := m.ask(ctx, "*")
	if err != nil {
		return nil, err
	}
	values := map[int]v1beta2.MetricValue{}
	for i := range list {
		var index int
		if _, err := fmt.Sscanf(list[i].DescribedObject.Name, nameFormat, &index); err != nil {
			return nil, fmt.Errorf("what is %s: %w", list[i].DescribedObject.Name, err)
		}
		values[index] = list[i]
	}
	return values, nil
}

func (m *metricsLab) ask(ctx context.Context, name string) ([]v1beta2.MetricValue, error) {
	text, err := m.kube.CoreV1().RESTClient().Get().SetHeader("Accept", "application/json").
		AbsPath("apis/custom.metrics.k8s.io/v1beta2/namespaces", m.namespace, "miniclusters.flux-framework.org", name, agentMetric).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the metric of %s: %w", name, err)
	}
	var list v1beta2.MetricValueList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the metric of %s: %w", name, err)
	}
	return list.Items, nil
}
