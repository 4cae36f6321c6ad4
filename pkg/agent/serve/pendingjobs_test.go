package serve

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

const twoNodes = `{"version":1,"resources":[{"type":"node","count":2,"exclusive":true,
	"with":[{"type":"slot","count":1,"with":[{"type":"core","count":1}],"label":"task"}]}],
	"attributes":{"system":{"duration":0,"queue":"batch","constraints":{"ranks":["5"]}}}}`

// tell sends events: a name and its context.
func tell(w *pendingJobs, id flux.JobID, spec string, events ...string) {
	e := flux.JournalEntry{ID: id}
	if spec != "" {
		e.Jobspec = json.RawMessage(spec)
	}
	for i := 0; i < len(events); i += 2 {
		e.Events = append(e.Events, flux.JobEvent{Name: events[i], Context: json.RawMessage(events[i+1])})
	}
	w.Entry(e)
}

func TestWaitingJobs(t *testing.T) {
	w := newPendingJobs()
	batch := jobRequest{queue: "batch", nodes: 2, exclusive: true, slots: 1, cores: 1, requires: `{"ranks":["5"]}`}
	counts := func() map[jobRequest]int {
		t.Helper()
		counts, err := w.await(t.Context(), nil)
		require.NoError(t, err)
		return counts
	}
	// Past jobs: one is pending, one runs, one has a dependency, one was updated.
	tell(w, 1, twoNodes, "submit", `{}`, "depend", `null`, "priority", `{"priority":16}`)
	tell(w, 2, twoNodes, "submit", `{}`, "depend", `null`, "priority", `{"priority":16}`, "alloc", `null`)
	tell(w, 3, twoNodes, "submit", `{}`)
	tell(w, 4, twoNodes, "submit", `{}`, "jobspec-update", `{"resources":7}`, "depend", ``, "priority", `{"priority":16}`, "flux-restart", ``)
	w.CaughtUp()
	w.CaughtUp()
	assert.Equal(t, map[jobRequest]int{batch: 1}, counts())

	// Later events are sent one at a time.
	tell(w, 4, "", "priority", `{"priority":1}`)
	tell(w, 3, "", "depend", ``)
	tell(w, 3, "", "priority", `{"priority":1}`)
	assert.Equal(t, map[jobRequest]int{batch: 3}, counts())
	tell(w, 1, "", "exception", `{"severity":1}`)
	tell(w, 1, "", "alloc", ``)
	tell(w, 1, "", "exception", `{"severity":0}`)
	tell(w, 1, "", "clean", ``)
	tell(w, 2, "", "clean", ``)
	assert.Equal(t, map[jobRequest]int{batch: 2}, counts())
	tell(w, 3, "", "urgency", `{"urgency":0}`)
	tell(w, 3, "", "priority", `{"priority":0}`)
	assert.Equal(t, map[jobRequest]int{batch: 1}, counts(), "it is held")
	tell(w, 3, "", "urgency", `{"urgency":16}`)
	tell(w, 3, "", "priority", `{"priority":16}`)
	tell(w, 4, "", "exception", `{"severity":0}`)
	assert.Equal(t, map[jobRequest]int{batch: 1}, counts())

	tell(w, 3, "", "jobspec-update", `{"attributes.system.duration":60,"attributes.system.bank":"x"}`)
	assert.Empty(t, counts(), "it gets another priority")
	tell(w, 3, "", "priority", `{"priority":16}`)
	assert.Equal(t, map[jobRequest]int{batch: 1}, counts())
	tell(w, 3, "", "jobspec-update", `{"attributes.system.queue":"debug","attributes.system.constraints":{"ranks":["6"]}}`)
	tell(w, 3, "", "priority", `{"priority":16}`)
	debug := batch
	debug.queue, debug.requires = "debug", `{"ranks":["6"]}`
	assert.Equal(t, map[jobRequest]int{debug: 1}, counts())
	assert.False(t, w.isStale())

	tell(w, 5, `{"version":7}`, "submit", `{}`, "depend", ``, "priority", `{"priority":16}`)
	assert.Equal(t, map[jobRequest]int{debug: 1, {slots: 1, cores: 1}: 1}, counts(), "it requests resources")
	tell(w, 6, `{"resources":7,"attributes":{"system":{"queue":"batch"}}}`, "submit", `{}`, "depend", ``, "priority", `{"priority":16}`)
	assert.Equal(t, 1, counts()[jobRequest{queue: "batch", slots: 1, cores: 1}], "jobs with a known request")
	tell(w, 6, "", "invalidate", ``)
	tell(w, 5, "", "invalidate", ``)
	tell(w, 3, "", "exception", `{"severity":0}`)
	assert.Empty(t, counts())
	assert.Empty(t, w.jobs)
	assert.Empty(t, w.counts)
}

// Unknown updates make the record stale.
func TestWaitingJobsAreStale(t *testing.T) {
	for _, change := range []string{`{"resources":[]}`, `{"attributes.system.constraints.ranks":["1"]}`, `{"attributes.system":{}}`, `7`} {
		w := newPendingJobs()
		w.CaughtUp()
		tell(w, 1, twoNodes, "submit", `{}`)
		assert.False(t, w.isStale())
		tell(w, 1, "", "jobspec-update", change)
		assert.True(t, w.isStale(), change)
	}
	w := newPendingJobs()
	w.CaughtUp()
	w.Ended(errors.New("it goes"))
	assert.True(t, w.isStale(), "the journal ends")
}

func TestWaitingJobsAreNotKnown(t *testing.T) {
	w := newPendingJobs()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.await(ctx, nil)
	assert.ErrorIs(t, err, context.Canceled)
	lost := make(chan struct{})
	close(lost)
	_, err = w.await(t.Context(), lost)
	assert.ErrorContains(t, err, "the connection is lost")
	gone := errors.New("there is no journal")
	w.Ended(gone)
	_, err = w.await(t.Context(), nil)
	assert.Equal(t, gone, err)
	assert.True(t, w.isStale(), "the journal may become available later")
}
