package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// scaleResults are all figures of the measurement; this is what --json writes.
type scaleResults struct {
	MiniClusters int `json:"miniClusters"`
	Large        int `json:"large"`
	Foreign      int `json:"foreign"`
	Nodes        int `json:"nodes"`
	CPUs         int `json:"cpus"`

	// Create and RawCreate are the seconds until all Jobs exist, of the operator and of the
	// raw client.
	Create    float64 `json:"create"`
	RawCreate float64 `json:"rawCreate"`
	// Run and RawRun are the seconds until all pods run.
	Run    float64 `json:"run"`
	RawRun float64 `json:"rawRun"`
	// Resizes and RawResizes are the seconds until a watch shows the new size of a Job.
	Resizes    []float64 `json:"resizes"`
	RawResizes []float64 `json:"rawResizes"`
	// Patches are the seconds that the users' own requests take, of all resizes.
	Patches []float64 `json:"patches"`
	// ResizesUnderLoad is the number of resizes that began while the other tenant waited.
	ResizesUnderLoad int `json:"resizesUnderLoad"`
	// Tenants are the seconds until all Jobs of a tenant exist.
	Tenants []float64 `json:"tenants"`
	// RSSBeforeForeign is the memory before there are foreign ConfigMaps, in bytes.
	RSSBeforeForeign int64 `json:"rssBeforeForeign"`
	// Objects are the sizes of the objects of the large MiniCluster, in bytes.
	Objects map[string]int `json:"objects"`
	Phases  []scalePhase   `json:"phases"`
	Samples []sample       `json:"samples"`

	// large is the namespace of the large MiniCluster.
	large string
}

// scalePhase is what a part of the measurement costs.
type scalePhase struct {
	Name       string         `json:"name"`
	Seconds    float64        `json:"seconds"`
	CPUSeconds float64        `json:"cpuSeconds"`
	RSS        int64          `json:"rss"`
	PeakRSS    int64          `json:"peakRSS"`
	Requests   map[string]int `json:"requests"`
}

// sample is what the operator uses at a time.
type sample struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpuSeconds"`
	RSS        int64   `json:"rss"`
}

func newScaleResults(o *scaleOptions) *scaleResults {
	return &scaleResults{
		MiniClusters: o.N, Large: o.Large, Foreign: o.Foreign, Nodes: o.Nodes, CPUs: runtime.NumCPU(), Objects: map[string]int{},
	}
}

// sampler reads what a process uses, several times a second.
type sampler struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	process *process.Process
	start   time.Time
	samples []sample
	// ended is the CPU time of processes that have ended, last that of the current one.
	ended, last float64
	// first is the CPU time at the begin of the phase, peak its largest memory.
	first float64
	peak  int64
}

const sampleEvery = 200 * time.Millisecond

func startSampler(ctx context.Context, p *process.Process) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, done: make(chan struct{}), process: p, start: time.Now()}
	go func() {
		defer close(s.done)
		for sleep(ctx, sampleEvery) == nil {
			s.take()
		}
	}()
	return s
}

// take reads what the process uses now. One that has ended uses nothing, and is not a sample.
func (s *sampler) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	usage, err := s.process.Usage()
	if err != nil || usage == (process.Usage{}) {
		return
	}
	s.last = usage.CPU.Seconds()
	s.peak = max(s.peak, usage.RSS)
	s.samples = append(s.samples, sample{Seconds: time.Since(s.start).Seconds(), CPUSeconds: s.ended + s.last, RSS: usage.RSS})
}

// follow continues with another process.
func (s *sampler) follow(p *process.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.ended, s.last = p, s.ended+s.last, 0
}

func (s *sampler) begin() {
	s.take()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.peak = s.ended+s.last, 0
}

// end returns what was used since begin.
func (s *sampler) end() (cpu float64, rss, peak int64) {
	s.take()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) > 0 {
		rss = s.samples[len(s.samples)-1].RSS
	}
	return s.ended + s.last - s.first, rss, s.peak
}

func (s *sampler) stop() []sample {
	s.cancel()
	<-s.done
	return s.samples
}

// diagnosisRequests are the requests of pod diagnosis. Some of the lists have other reasons.
func diagnosisRequests() []string {
	return []string{"list pods", "create pods", "list networkpolicies"}
}

// print writes the results as tables.
func (r *scaleResults) print(to io.Writer) error {
	if len(r.Phases) == 0 {
		return nil
	}
	fmt.Fprintf(to, "\n%d MiniClusters of size 1, one of up to %d pods, %d foreign ConfigMaps of 1 MB, %d simulated nodes, %d CPUs; load %s\n\n",
		r.MiniClusters, r.Large, r.Foreign, r.Nodes, r.CPUs, loadAverage())
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.printTimes(w)
	r.printPhases(w)
	r.printSamples(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing the results: %w", err)
	}
	return nil
}

func (r *scaleResults) printTimes(w io.Writer) {
	fmt.Fprintln(w, "time\toperator\traw client\tratio\t")
	compare(w, "all Jobs of a tenant exist", "%.2f s", r.Create, r.RawCreate)
	compare(w, "all pods of a tenant run", "%.2f s", r.Run, r.RawRun)
	for _, q := range []struct {
		name  string
		share float64
	}{{"median", 0.5}, {"95 %", 0.95}, {"maximum", 1}} {
		compare(w, "resize of another tenant meanwhile, "+q.name, "%.0f ms", 1000*quantile(r.Resizes, q.share), 1000*quantile(r.RawResizes, q.share))
	}
	if len(r.Resizes) > 0 {
		compare(w, "of it the patch of the user, median", "%.0f ms", 1000*quantile(r.Patches, 0.5), 0)
		fmt.Fprintf(w, "of %d resizes, before all Jobs existed\t%d\t\t\t\n", len(r.Resizes), r.ResizesUnderLoad)
	}
	compare(w, "two tenants create half each: slower, faster", "%.2f s", quantile(r.Tenants, 1), quantile(r.Tenants, 0))
	for _, kind := range slices.Sorted(maps.Keys(r.Objects)) {
		compare(w, kind+" of the large MiniCluster", "%.1f kB", float64(r.Objects[kind])/1000, 0)
	}
	compare(w, "RSS before the foreign ConfigMaps", "%.0f MiB", float64(r.RSSBeforeForeign)/(1<<20), 0)
	fmt.Fprintln(w, "\t\t\t\t")
}

func (r *scaleResults) printPhases(w io.Writer) {
	fmt.Fprintln(w, "phase\ttime\tCPU\tRSS\tpeak\trequests\tof diagnosis\tmost frequent\t")
	for _, p := range r.Phases {
		requests := worth(p.Requests)
		diagnosis := 0
		for _, key := range diagnosisRequests() {
			diagnosis += requests[key]
		}
		share := ""
		if all := total(requests); all > 0 {
			share = fmt.Sprintf("%.1f %%", 100*float64(diagnosis)/float64(all))
		}
		fmt.Fprintf(w, "%s\t%.1f s\t%.2f s\t%d MiB\t%d MiB\t%d\t%s\t%s\t\n",
			p.Name, p.Seconds, p.CPUSeconds, p.RSS>>20, p.PeakRSS>>20, total(requests), share, mostFrequent(requests))
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t")
}

// mostFrequent names the three most frequent requests.
func mostFrequent(requests map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(requests), func(a, b string) int {
		if requests[a] != requests[b] {
			return requests[b] - requests[a]
		}
		return strings.Compare(a, b)
	})
	var named []string
	for _, key := range keys[:min(3, len(keys))] {
		named = append(named, fmt.Sprintf("%s %d", key, requests[key]))
	}
	return strings.Join(named, ", ")
}

// printSamples prints the memory and the CPU over time, in at most twelve lines.
func (r *scaleResults) printSamples(w io.Writer) {
	const lines = 12
	fmt.Fprintln(w, "at\tRSS\tof a core\t")
	var before sample
	for i := range min(lines, len(r.Samples)) {
		s := r.Samples[(i+1)*len(r.Samples)/min(lines, len(r.Samples))-1]
		share := 0.0
		if s.Seconds > before.Seconds {
			share = 100 * (s.CPUSeconds - before.CPUSeconds) / (s.Seconds - before.Seconds)
		}
		fmt.Fprintf(w, "%.0f s\t%d MiB\t%.0f %%\t\n", s.Seconds, s.RSS>>20, share)
		before = s
	}
}

// loadAverage is the load of the machine, of all programs together.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
