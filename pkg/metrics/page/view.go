package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
)

// Maximum numbers of rows, charts and changes on the page.
const (
	maxListed  = 500
	maxCharts  = 6
	maxEntries = 40
)

// Units of resources in charts.
const (
	unitCores  = "cores"
	unitBytes  = "bytes"
	unitPods   = "pods"
	unitPieces = "pieces"
)

// view is the data of the template of the page.
type view struct {
	// Namespace of the page, or "" for all.
	Namespace string
	Upward    bool
	Unchecked int
	// Interval between records in seconds.
	Interval float64
	// Recorded is the time of the values, Clock its time of day.
	Recorded, Clock string
	// Since is the start of the history, Replica the name of this replica or "".
	Since   moment
	Replica string

	Capacity  bool
	Nodes     number
	Resources []chart
	// Nowhere describes pending pods that fit nowhere, AfterShrink is the number of those that wait for room.
	Nowhere     string
	AfterShrink int64
	// ByNode is set if the user may see the table of nodes.
	ByNode    bool
	NodeTable nodeTable

	query query
	// Summary is the number of MiniClusters by state, Ranges are the time ranges of the charts.
	Summary, Ranges []choice
	State, Sort     string
	Minutes         int

	// Namespaces to choose from, and the current selection.
	Namespaces             []string
	Chosen, Search, Picked string
	Rows                   []row
	// First and Last are the numbers of the first and the last row, of Total.
	First, Last, Total int
	Earlier, Later     string
	Everything         string
	Sizes              []chart
	// Shown explains which MiniClusters have charts.
	Shown   string
	Changes []entry
}

// row is a MiniCluster in the table.
type row struct {
	ID, Namespace, Name string
	Link                string
	Picked              bool
	State, Tone         string
	Size, Wanted, Ready number
	Minimum, Maximum    number
	Demanded, Fitting   number
	Room                number
	Autoscaler          string
	Running, Waiting    number
	Spark               string
	// Note is the short reason, Notes are all of them if there is more.
	Note  string
	Notes []string
}

// moment is a time with its time of day in UTC. The script replaces that by local time.
type moment struct{ Time, Clock string }

func momentOf(at time.Time, layout string) moment {
	return moment{at.UTC().Format(time.RFC3339), at.UTC().Format(layout)}
}

// entry is a change in the table of changes.
type entry struct {
	Time, Clock     string
	Namespace, Name string
	Text            string
	Warning         bool
}

// view returns the data of the page for a user.
func (r *Recorder) view(s scope, q query) view {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v := view{
		Namespace: s.namespace, Upward: s.upward, Unchecked: s.unchecked, Capacity: s.capacity,
		Chosen: q.namespace, Search: q.search, Everything: query{}.link(), Replica: r.options.Replica,
		Interval: r.options.Interval.Seconds(), query: q, State: q.state, Sort: q.sort, Minutes: q.minutes, Ranges: q.choices(),
	}
	over := spanOf(r.began, r.recorded, q.window(), chartSteps)
	v.Recorded, v.Clock = r.recorded.UTC().Format(time.RFC3339), r.recorded.UTC().Format("15:04:05")
	since := r.recorded.Add(-window)
	if since.Before(r.began) {
		since = r.began
	}
	v.Since = momentOf(since.Truncate(time.Minute), "15:04")
	if s.capacity {
		v.Nowhere, v.AfterShrink = waitingText(r.overview, s.may), r.overview.AfterShrink
		if v.ByNode = s.nodes; v.ByNode {
			v.NodeTable = newNodeTable(r.overview, s.may)
		}
		v.Nodes = quantityOf(capacity.MetricNodes, r.cluster[capacity.MetricNodes])
		for _, name := range resourcesOf(r.cluster) {
			v.Resources = append(v.Resources, r.resourceChart(name, over))
		}
	}
	r.list(&v, s, q, over)
	for _, c := range r.latestChanges(func(namespace string) bool {
		return s.may(namespace) && (q.namespace == "" || q.namespace == namespace)
	}, maxEntries) {
		v.Changes = append(v.Changes, entry{
			Time: c.at.UTC().Format(time.RFC3339), Clock: c.at.UTC().Format("15:04:05"),
			Namespace: c.namespace, Name: c.name, Text: c.text, Warning: c.warning,
		})
	}
	return v
}

// list adds the table of MiniClusters and the charts of some of them.
func (r *Recorder) list(v *view, s scope, q query, over span) {
	var found []*record
	for _, of := range r.ordered {
		if !s.may(of.Namespace) {
			continue
		}
		if n := len(v.Namespaces); n == 0 || v.Namespaces[n-1] != of.Namespace {
			v.Namespaces = append(v.Namespaces, of.Namespace) // they are sorted
		}
		if (q.namespace == "" || q.namespace == of.Namespace) && strings.Contains(of.Name, q.search) {
			found = append(found, of)
		}
	}
	if q.namespace != "" && !slices.Contains(v.Namespaces, q.namespace) {
		v.Namespaces = append(v.Namespaces, q.namespace)
	}
	v.Summary = summarize(found, q)
	found = slices.DeleteFunc(found, func(of *record) bool { return !of.inState(q.state) })
	sortRecords(found, q.sort)
	v.Total = len(found)
	if q.from >= v.Total {
		q.from = 0
	}
	listed := found[q.from:min(q.from+maxListed, v.Total)]
	if len(listed) > 0 {
		v.First, v.Last = q.from+1, q.from+len(listed)
	}
	other := q
	if other.from = max(0, q.from-maxListed); q.from > 0 {
		v.Earlier = other.link()
	}
	if other.from = q.from + maxListed; other.from < v.Total {
		v.Later = other.link()
	}
	var drawn []*record
	for _, of := range listed {
		if len(drawn) < maxCharts && !of.state.over {
			drawn = append(drawn, of)
		}
	}
	for _, of := range found {
		if of.String() == q.picked {
			drawn, v.Picked = []*record{of}, of.String()
		}
	}
	coarse := spanOf(r.began, r.recorded, window, sparkSteps)
	for _, of := range listed {
		v.Rows = append(v.Rows, of.row(q, coarse))
	}
	for _, of := range drawn {
		v.Sizes = append(v.Sizes, of.chart(over))
	}
	if v.Picked == "" && len(drawn) < v.Total {
		v.Shown = fmt.Sprintf("The first %d that have not finished. Select the name of a MiniCluster above to show its chart.", len(drawn))
	}
	if v.Picked != "" {
		other, other.picked = q, ""
		v.Everything = other.link()
	}
}

// row returns the row of a MiniCluster.
func (of *record) row(q query, over span) row {
	q.picked = of.String()
	note, notes := of.state.short()
	return row{
		ID: "row/" + of.String(), Namespace: of.Namespace, Name: of.Name, Link: q.link(),
		State: of.state.word, Tone: of.state.tone, Note: note, Notes: notes,
		Room: countOf(capacity.MetricPodsFitting, of.room), Autoscaler: of.state.autoscaler,
		Size: countOf("", of.size), Wanted: countOf("", of.wanted), Ready: countOf("", of.ready),
		Minimum: countOf("", of.minimum), Maximum: countOf("", of.maximum),
		Demanded: countOf(fluxsource.MetricSizeDemanded, of.demanded), Fitting: countOf(capacity.MetricSizeFitting, of.fitting),
		Running: countOf(metricRunning, of.running), Waiting: countOf(metricWaiting, of.waiting),
		Spark: spark(over, of.line("", "", number{}, func(s sizes) int32 { return s.size })),
	}
}
