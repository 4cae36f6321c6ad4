package page

import (
	"cmp"
	"slices"
)

// Orders of the table of MiniClusters. The default shows problems first.
const (
	byName     = "name"
	bySize     = "size"
	byDemanded = "demanded"
	byFitting  = "fitting"
	byRoom     = "room"
	byRunning  = "running"
	byPending  = "pending"
)

// onlyProblems is the filter for all MiniClusters with a problem. It is no state.
const onlyProblems = "problems"

// heading is the heading of a column by which the table can be sorted.
type heading struct {
	Label, Link string
	// Sorted is the value of aria-sort, "" if the table is sorted by another column.
	Sorted string
}

// By returns the heading of a column.
func (v *view) By(order, label string) heading {
	q := v.query
	h := heading{Label: label}
	if q.sort == order {
		h.Sorted = "descending"
		if order == byName {
			h.Sorted = "ascending"
		}
		order = "" // back to the default
	}
	q.sort, q.from = order, 0
	h.Link = q.link()
	return h
}

// choice is a link that selects something; Active is set if it is selected.
type choice struct {
	Text, Link, Tone string
	Count            int
	Active           bool
}

// summarize returns how many MiniClusters are in which state, with links that select them.
func summarize(found []*record, q query) []choice {
	q.from = 0
	selecting := func(state string) string {
		q := q
		if q.state == state {
			state = ""
		}
		q.state = state
		return q.link()
	}
	counts := map[string]*choice{}
	problems := 0
	for _, of := range found {
		if of.state.problem {
			problems++
		}
		if counts[of.state.word] == nil {
			counts[of.state.word] = &choice{
				Text: of.state.word, Tone: of.state.tone, Link: selecting(of.state.word), Active: q.state == of.state.word,
			}
		}
		counts[of.state.word].Count++
	}
	out := make([]choice, 0, len(counts)+1)
	if problems > 0 || q.state == onlyProblems {
		out = append(out, choice{Text: "with problems", Tone: toneBad, Count: problems, Link: selecting(onlyProblems), Active: q.state == onlyProblems})
	}
	states := make([]choice, 0, len(counts))
	for _, c := range counts {
		states = append(states, *c)
	}
	slices.SortFunc(states, func(a, b choice) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text)) })
	return append(out, states...)
}

// inState reports whether a MiniCluster is in the selected state.
func (of *record) inState(state string) bool {
	return state == "" || state == of.state.word || state == onlyProblems && of.state.problem
}

// sortRecords sorts MiniClusters, which are sorted by namespace and name.
func sortRecords(found []*record, order string) {
	var value func(*record) int32
	switch order {
	case byName:
		return
	case bySize:
		value = func(of *record) int32 { return of.size }
	case byDemanded:
		value = func(of *record) int32 { return of.demanded }
	case byFitting:
		value = func(of *record) int32 { return of.fitting }
	case byRoom:
		value = func(of *record) int32 { return of.room }
	case byRunning:
		value = func(of *record) int32 { return of.running }
	case byPending:
		value = func(of *record) int32 { return of.waiting }
	default:
		value = func(of *record) int32 { return -int32(of.state.severity()) } //nolint:gosec // a few
	}
	slices.SortStableFunc(found, func(a, b *record) int { return cmp.Compare(value(b), value(a)) })
}
