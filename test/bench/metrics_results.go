package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// reading is the total work and resource usage of the metrics API server so far.
type reading struct {
	process.Usage
	rounds  uint64
	seconds float64 // of all rounds
	done    float64 // agents that responded
	silent  float64 // agents that did not respond
}

// situation is the work and resource usage in one situation.
type situation struct {
	situation string
	took      time.Duration
	rounds    uint64
	// round is the mean time of a round.
	round        time.Duration
	done, silent float64
	cpu          time.Duration
	rss, peak    int64
	// oldest is the age of the oldest value that was served at the end.
	oldest time.Duration
}

func between(before, after *reading, took time.Duration) *situation {
	s := &situation{
		took: took, rounds: after.rounds - before.rounds, cpu: after.CPU - before.CPU,
		done: after.done - before.done, silent: after.silent - before.silent, rss: after.RSS, peak: after.PeakRSS,
	}
	if s.rounds > 0 {
		s.round = time.Duration((after.seconds - before.seconds) / float64(s.rounds) * float64(time.Second))
	}
	return s
}

// reading reads the usage of the process and its own metrics.
func (m *metricsLab) reading(ctx context.Context) (*reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.metrics, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.metrics, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of the process: %w", err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of the process: %w", err)
	}
	r := &reading{}
	for _, metric := range families["minicluster_metrics_round_duration_seconds"].GetMetric() {
		r.rounds, r.seconds = metric.GetHistogram().GetSampleCount(), metric.GetHistogram().GetSampleSum()
	}
	for _, metric := range families["minicluster_metrics_collections_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetValue() == "done" {
				r.done += metric.GetCounter().GetValue()
			} else {
				r.silent += metric.GetCounter().GetValue()
			}
		}
	}
	r.Usage, err = m.adapter.Usage()
	return r, err
}

// metricsResults are the results of all situations.
type metricsResults struct {
	options    *metricsOptions
	situations []situation
}

// print prints them as a table.
func (r *metricsResults) print(to io.Writer) error {
	if len(r.situations) == 0 {
		return nil
	}
	fmt.Fprintf(to, "\n%d MiniClusters on %d simulated nodes, %d CPUs; minicluster-metrics with its default flags\n\n",
		r.options.N, r.options.Nodes, runtime.NumCPU())
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "situation\trounds\tmean round\tanswers a round\tnone\tCPU\ta round\tof a core\tRSS\tpeak\toldest number\t")
	for _, s := range r.situations {
		n := float64(max(s.rounds, 1))
		fmt.Fprintf(w, "%s\t%d in %.0f s\t%.2f s\t%.0f\t%.0f\t%.2f s\t%.2f s\t%.1f %%\t%d MiB\t%d MiB\t%.1f s\t\n",
			s.situation, s.rounds, s.took.Seconds(), s.round.Seconds(), s.done/n, s.silent/n,
			s.cpu.Seconds(), s.cpu.Seconds()/n, 100*s.cpu.Seconds()/s.took.Seconds(), s.rss>>20, s.peak>>20, s.oldest.Seconds())
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing the results: %w", err)
	}
	return nil
}
