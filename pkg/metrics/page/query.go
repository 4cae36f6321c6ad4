package page

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scope is what a user may see.
type scope struct {
	// namespace is the namespace of the page, or "" for all.
	namespace string
	// may reports whether the user may see the MiniClusters of a namespace.
	may func(namespace string) bool
	// seen represents the namespaces that may accepts: they are equal if seen is equal.
	seen string
	// capacity is set if the user may see the capacity of the cluster, nodes if also that of each node.
	capacity, nodes bool
	// upward is set if the user may open the page of all namespaces.
	upward bool
	// unchecked is the number of namespaces that were not checked.
	unchecked int
}

// query is what a user selects on the page.
type query struct {
	namespace, search string
	// picked is the MiniCluster whose chart is shown, NAMESPACE/NAME, or "" for the first ones.
	picked string
	// state selects MiniClusters in a state, sort is the order of the table; "" for the default.
	state, sort string
	// minutes is the time range of charts, 0 for all of the history.
	minutes int
	from    int
}

// Query parameters of the page.
const (
	paramNamespace = "namespace"
	paramSearch    = "search"
	paramPicked    = "minicluster"
	paramState     = "state"
	paramSort      = "sort"
	paramRange     = "range"
	paramFrom      = "from"
)

func queryOf(values url.Values) query {
	from, err := strconv.Atoi(values.Get(paramFrom))
	if err != nil || from < 0 {
		from = 0
	}
	minutes, err := strconv.Atoi(values.Get(paramRange))
	if err != nil || !slices.Contains(ranges(), minutes) {
		minutes = 0
	}
	return query{
		namespace: values.Get(paramNamespace), search: strings.TrimSpace(values.Get(paramSearch)), picked: values.Get(paramPicked), from: from,
		state: values.Get(paramState), sort: values.Get(paramSort), minutes: minutes,
	}
}

// link returns the relative URL of the page with a query.
func (q query) link() string {
	values := url.Values{}
	for name, value := range map[string]string{
		paramNamespace: q.namespace, paramSearch: q.search, paramPicked: q.picked, paramState: q.state, paramSort: q.sort,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.minutes > 0 {
		values.Set(paramRange, strconv.Itoa(q.minutes))
	}
	if q.from > 0 {
		values.Set(paramFrom, strconv.Itoa(q.from))
	}
	return "?" + values.Encode()
}

// ranges returns the time ranges that can be selected, in minutes.
func ranges() []int { return []int{5, 15, 60} }

// choices returns the links to the time ranges.
func (q query) choices() []choice {
	out := make([]choice, 0, len(ranges()))
	for _, minutes := range ranges() {
		other := q
		other.minutes = minutes
		text := fmt.Sprintf("%d min", minutes)
		if minutes == int(window/time.Minute) {
			text, other.minutes = "1 hour", 0
		}
		out = append(out, choice{Text: text, Link: other.link(), Active: q.minutes == other.minutes})
	}
	return out
}

// window returns the longest time range of the charts.
func (q query) window() time.Duration {
	if q.minutes == 0 {
		return window
	}
	return time.Duration(q.minutes) * time.Minute
}
