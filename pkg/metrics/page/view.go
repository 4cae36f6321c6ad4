package page

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
)

// What is shown at most at a time.
const (
	mostListed  = 100
	mostCharts  = 6
	mostEntries = 40
)

// Units of resources, as a chart has them.
const (
	unitCores  = "cores"
	unitBytes  = "bytes"
	unitPods   = "pods"
	unitPieces = "pieces"
)

// scope is what somebody may see.
type scope struct {
	// namespace is the only one, "" for all.
	namespace string
	// may tells of a namespace whether its MiniClusters may be seen.
	may func(namespace string) bool
	// seen says the same of may as a text: equal ones see equal namespaces.
	seen string
	// capacity tells whether that of the cluster may be seen.
	capacity bool
	// upward tells whether there is a page of all namespaces to go to.
	upward bool
	// unasked is how many namespaces there are that were not asked about.
	unasked int
}

// query is what somebody wants to see of it.
type query struct {
	namespace, search string
	// picked is the MiniCluster whose chart is wanted, NAMESPACE/NAME; "" for the first ones.
	picked string
	from   int
}

// Parameters of the page's address.
const (
	paramNamespace = "namespace"
	paramSearch    = "search"
	paramPicked    = "minicluster"
	paramFrom      = "from"
	paramWatch     = "watch"
)

func queryOf(values url.Values) query {
	from, err := strconv.Atoi(values.Get(paramFrom))
	if err != nil || from < 0 {
		from = 0
	}
	return query{
		namespace: values.Get(paramNamespace), search: strings.TrimSpace(values.Get(paramSearch)), picked: values.Get(paramPicked), from: from,
	}
}

// link is the relative address of the page with another query.
func (q query) link() string {
	values := url.Values{}
	for name, value := range map[string]string{paramNamespace: q.namespace, paramSearch: q.search, paramPicked: q.picked} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.from > 0 {
		values.Set(paramFrom, strconv.Itoa(q.from))
	}
	return "?" + values.Encode()
}

// View is all that the page's template needs.
type View struct {
	// Namespace is the only one that the page is about; "" for all.
	Namespace string
	Upward    bool
	Unasked   int
	// Interval is how many seconds there are between records.
	Interval float64
	// Recorded is when the numbers were taken, Clock the same for people.
	Recorded, Clock string
	// Since is from when on there is a history, which Replica has; "" if it has no name.
	Since, Replica string

	Capacity  bool
	Nodes     number
	Resources []Chart

	// Namespaces to choose from, and what was chosen.
	Namespaces             []string
	Chosen, Search, Picked string
	Rows                   []Row
	// First and Last number the rows, of Total.
	First, Last, Total int
	Earlier, Later     string
	Everything         string
	Sizes              []Chart
	// Shown says which MiniClusters have charts.
	Shown   string
	Changes []Entry
}

// Row is a MiniCluster in the table.
type Row struct {
	ID, Namespace, Name string
	Link                string
	Picked              bool
	State, Tone         string
	Size, Wanted, Ready number
	Minimum, Maximum    number
	Demanded, Fitting   number
	Running, Waiting    number
	Spark               string
	Notes               []string
}

// Entry is something that happened.
type Entry struct {
	Time, Clock     string
	Namespace, Name string
	Text            string
	Warning         bool
}

// view is what there is to see.
func (r *Recorder) view(s scope, q query) View {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v := View{
		Namespace: s.namespace, Upward: s.upward, Unasked: s.unasked, Capacity: s.capacity,
		Chosen: q.namespace, Search: q.search, Everything: query{}.link(), Replica: r.options.Replica,
		Interval: r.options.Interval.Seconds(),
	}
	over := spanOf(r.began, r.recorded, chartSteps)
	v.Recorded, v.Clock = r.recorded.UTC().Format(time.RFC3339), r.recorded.UTC().Format("15:04:05")
	v.Since = clock(over.from)
	if over.from.Before(r.began) {
		v.Since = clock(r.began)
	}
	if s.capacity {
		v.Nodes = quantityOf(capacity.MetricNodes, r.figures[capacity.MetricNodes])
		for _, name := range resourcesOf(r.figures) {
			v.Resources = append(v.Resources, r.resourceChart(name, over))
		}
	}
	r.list(&v, s, q, over)
	for _, c := range r.latestChanges(func(namespace string) bool {
		return s.may(namespace) && (q.namespace == "" || q.namespace == namespace)
	}, mostEntries) {
		v.Changes = append(v.Changes, Entry{
			Time: c.at.UTC().Format(time.RFC3339), Clock: c.at.UTC().Format("15:04:05"),
			Namespace: c.namespace, Name: c.name, Text: c.text, Warning: c.warning,
		})
	}
	return v
}

// list fills in the table of MiniClusters, and the charts of some of them.
func (r *Recorder) list(v *View, s scope, q query, over span) {
	var found []*record
	for _, of := range r.ordered {
		if !s.may(of.Namespace) {
			continue
		}
		if n := len(v.Namespaces); n == 0 || v.Namespaces[n-1] != of.Namespace {
			v.Namespaces = append(v.Namespaces, of.Namespace) // they are in order
		}
		if (q.namespace == "" || q.namespace == of.Namespace) && strings.Contains(of.Name, q.search) {
			found = append(found, of)
		}
	}
	if q.namespace != "" && !slices.Contains(v.Namespaces, q.namespace) {
		v.Namespaces = append(v.Namespaces, q.namespace)
	}
	v.Total = len(found)
	if q.from >= v.Total {
		q.from = 0
	}
	listed := found[q.from:min(q.from+mostListed, v.Total)]
	if len(listed) > 0 {
		v.First, v.Last = q.from+1, q.from+len(listed)
	}
	other := q
	if other.from = max(0, q.from-mostListed); q.from > 0 {
		v.Earlier = other.link()
	}
	if other.from = q.from + mostListed; other.from < v.Total {
		v.Later = other.link()
	}
	var drawn []*record
	for _, of := range listed {
		if len(drawn) < mostCharts && !of.state.over {
			drawn = append(drawn, of)
		}
	}
	for _, of := range found {
		if of.String() == q.picked {
			drawn, v.Picked = []*record{of}, of.String()
		}
	}
	coarse := spanOf(r.began, r.recorded, sparkSteps)
	for _, of := range listed {
		v.Rows = append(v.Rows, of.row(q, coarse))
	}
	for _, of := range drawn {
		v.Sizes = append(v.Sizes, of.chart(over))
	}
	if v.Picked == "" && len(drawn) < v.Total {
		v.Shown = fmt.Sprintf("The first %d that have not ended. The name of a MiniCluster above leads to its chart.", len(drawn))
	}
	if v.Picked != "" {
		other, other.picked = q, ""
		v.Everything = other.link()
	}
}

// row is a MiniCluster in the table.
func (of *record) row(q query, over span) Row {
	q.picked = of.String()
	return Row{
		ID: "row/" + of.String(), Namespace: of.Namespace, Name: of.Name, Link: q.link(),
		State: of.state.word, Tone: of.state.tone, Notes: of.state.notes,
		Size: countOf("", of.size), Wanted: countOf("", of.wanted), Ready: countOf("", of.ready),
		Minimum: countOf("", of.minimum), Maximum: countOf("", of.maximum),
		Demanded: countOf(fluxsource.MetricSizeDemanded, of.demanded), Fitting: countOf(capacity.MetricSizeFitting, of.fitting),
		Running: countOf(metricRunning, of.running), Waiting: countOf(metricWaiting, of.waiting),
		Spark: spark(over, of.line("", "", number{}, func(s sizes) int32 { return s.size })),
	}
}

// line is the history of one of the sizes.
func (of *record) line(class, label string, now number, get func(sizes) int32) series {
	l := series{Class: class, Label: label, Now: now}
	for _, s := range of.history {
		value := math.NaN()
		if n := get(s.value); n != unknown {
			value = float64(n)
		}
		l.add(s.at, value)
	}
	return l
}

func (of *record) chart(over span) Chart {
	size := of.line("s-size", "Size", countOf("", of.size), func(s sizes) int32 { return s.size })
	size.area = true
	fitting := of.line("s-fitting", "Would fit", countOf(capacity.MetricSizeFitting, of.fitting), func(s sizes) int32 { return s.fitting })
	fitting.over = true
	return newChart("chart/"+of.String(), of.String(), unitPods, over, []series{
		size,
		of.line("s-demand", "Demanded", countOf(fluxsource.MetricSizeDemanded, of.demanded), func(s sizes) int32 { return s.demanded }),
		fitting,
		of.line("s-bound", "Max", countOf("", of.maximum), func(s sizes) int32 { return s.maximum }),
		of.line("s-bound", "Min", countOf("", of.minimum), func(s sizes) int32 { return s.minimum }),
	})
}

// titleOf is what a resource is called, and its unit.
func titleOf(name string) (title, unit string) {
	switch name {
	case "cpu":
		return "CPU", unitCores
	case "mem":
		return "Memory", unitBytes
	case "pod":
		return "Pods", unitPods
	default:
		return name, unitPieces
	}
}

func (r *Recorder) resourceChart(name string, over span) Chart {
	title, unit := titleOf(name)
	if r.figures[name+suffixCapacity].Format == resource.BinarySI {
		unit = unitBytes
	}
	line := func(suffix, class, label string, get func(amounts) float64) series {
		s := series{Class: class, Label: label, Now: quantityOf(name+suffix, r.figures[name+suffix])}
		if of := r.resources[name]; of != nil {
			for _, was := range *of {
				s.add(was.at, get(was.value))
			}
		}
		return s
	}
	requests := line(suffixRequests, "s-requests", "Requested", func(a amounts) float64 { return a.requests })
	requests.area = true
	return newChart("resource/"+name, title, unit, over, []series{
		requests,
		line(suffixRemaining, "s-remaining", "Remaining", func(a amounts) float64 { return a.remaining }),
		line(suffixAllocatable, "s-allocatable", "Allocatable", func(a amounts) float64 { return a.allocatable }),
		line(suffixCapacity, "s-capacity", "Capacity", func(a amounts) float64 { return a.capacity }),
	})
}
