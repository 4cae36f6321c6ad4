package page

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newDrawings(t testing.TB, w *world) *drawings {
	t.Helper()
	template, err := newTemplate()
	require.NoError(t, err)
	return &drawings{recorder: w.Recorder, template: template}
}

// TestDrawnOnce checks that the page is rendered once for all users who see the same, until it changes.
func TestDrawnOnce(t *testing.T) {
	w := tutorial(t)
	d := newDrawings(t, w)
	of := func(name string) *scope {
		return &scope{may: func(namespace string) bool { return namespace == name }, seen: name + "/"}
	}
	first := d.draw(of("lab"), query{})
	assert.Same(t, first, d.draw(of("lab"), query{}))
	assert.NotSame(t, first, d.draw(of("lab"), query{search: "solver"}))
	other := d.draw(of("batch"), query{})
	assert.Contains(t, string(other.update(map[string][sha256.Size]byte{})), "filler")
	assert.NotContains(t, string(first.update(map[string][sha256.Size]byte{})), "filler")
	all := everything()
	assert.NotSame(t, first, d.draw(&all, query{}))

	w.addChanges(change{at: w.at(), namespace: "lab", name: "solver", text: "Something"})
	noted := d.draw(of("lab"), query{})
	assert.NotSame(t, first, noted)
	w.after(time.Minute)
	assert.NotSame(t, noted, d.draw(of("lab"), query{}))

	for i := range 10 * maxStreams {
		d.draw(of("lab"), query{search: fmt.Sprint(i)})
	}
	assert.Len(t, d.of, maxStreams, "the cache of drawings is bounded")
}

// TestOnlyRowsThatChanged checks that an update has only the changed rows if the table has the same rows, otherwise
// the whole table.
func TestOnlyRowsThatChanged(t *testing.T) {
	w := newWorld(t)
	w.sums = nodes(6, 184, 480, 660)
	for i := range 20 {
		w.put(t, cluster("ns", fmt.Sprintf("mc-%02d", i), 1, 9))
		w.say(fmt.Sprintf("ns/mc-%02d", i), 1, 0, 0, 5)
	}
	w.after(0)
	w.after(window + time.Second)
	d := newDrawings(t, w)
	all := everything()
	sent := map[string][sha256.Size]byte{}
	news := func() string { return string(d.draw(&all, query{}).update(sent)) }
	ids := func(event string) int { return strings.Count(event, `<tr id="row/`) }

	event := news()
	assert.Equal(t, 20, ids(event))
	assert.Contains(t, event, `data: <div id="miniclusters">`)
	w.after(time.Second)
	assert.Equal(t, `data: <p id="moment">As of <time datetime="2026-03-14T10:00:02Z">10:00:02</time>, history since <time datetime="2026-03-14T09:00:00Z">09:00</time></p>`+"\n\n", news(), "no other part changed")

	w.put(t, resized(cluster("ns", "mc-07", 1, 9), 3))
	w.after(time.Second)
	event = news()
	assert.Equal(t, 1, ids(event))
	assert.Contains(t, event, "data: <table><tbody>\ndata: <tr id=\"row/ns/mc-07\"")
	assert.Contains(t, event, "data: </tr>\ndata: </tbody></table>\n")
	assert.NotContains(t, event, `id="miniclusters"`)
	assert.Contains(t, event, "Requested size changed from 1 to 3")

	w.put(t, cluster("ns", "mc-20", 1, 9))
	w.after(time.Second)
	event = news()
	assert.Equal(t, 21, ids(event))
	assert.Contains(t, event, `data: <div id="miniclusters">`)
	assert.NotContains(t, event, "data: <table><tbody>")
	w.after(time.Second)
	assert.Zero(t, ids(news()))

	// After some time the charts advance, in all rows at once.
	rows := 0
	for range 60 {
		w.after(time.Second)
		rows += ids(news())
	}
	assert.LessOrEqual(t, rows, 3*21)
}

// TestSpan checks that the time range of charts advances in steps and always includes the present.
func TestSpan(t *testing.T) {
	for _, had := range []time.Duration{0, 4 * time.Minute, 7 * time.Minute, 31 * time.Minute, 50 * time.Minute, 3 * time.Hour} {
		now := begin.Add(had).Add(1234 * time.Millisecond)
		s := spanOf(begin, now, window, chartSteps)
		assert.False(t, s.to.Before(now), had.String())
		assert.False(t, s.last.After(now), had.String())
		assert.LessOrEqual(t, s.to.Sub(s.last), window/chartSteps, had.String())
		assert.GreaterOrEqual(t, s.to.Sub(s.from), min(had, window), had.String())
		assert.LessOrEqual(t, s.to.Sub(s.from), max(2*had, minSpan), had.String())
	}
}
