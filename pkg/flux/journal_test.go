package flux_test

import (
	"encoding/json"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// diary records the entries of a journal.
type diary struct {
	mu       sync.Mutex
	events   map[flux.JobID][]string
	specs    map[flux.JobID]flux.Jobspec
	caughtUp bool
	ended    chan error
}

func newDiary() *diary {
	return &diary{events: map[flux.JobID][]string{}, specs: map[flux.JobID]flux.Jobspec{}, ended: make(chan error, 1)}
}

func (d *diary) Entry(e flux.JournalEntry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, event := range e.Events {
		d.events[e.ID] = append(d.events[e.ID], event.Name)
	}
	if len(e.Jobspec) > 0 {
		var spec flux.Jobspec
		if json.Unmarshal(e.Jobspec, &spec) == nil {
			d.specs[e.ID] = spec
		}
	}
}

func (d *diary) CaughtUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caughtUp = true
}

func (d *diary) Ended(err error) { d.ended <- err }

func (d *diary) knows(id flux.JobID) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[id]
}

// contractJournal follows one job that waits and is then canceled: from the past and live.
func contractJournal(t *testing.T, c *flux.Client, waiting flux.JobID) (check func()) {
	events := []string{"submit", "depend", "priority", "alloc", "exception", "clean"}
	d := newDiary()
	require.NoError(t, c.Journal(t.Context(), d, events...))
	eventually(t, "all jobs are known", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.caughtUp
	})
	assert.Equal(t, []string{"submit", "depend", "priority"}, d.knows(waiting))
	assert.Equal(t, flux.Jobspec{Nodes: contractSize, Exclusive: true, Slots: 1, Cores: 1}, d.specs[waiting])
	return func() {
		eventually(t, "the journal says that the job was canceled", func() bool { return len(d.knows(waiting)) == 5 })
		assert.Equal(t, []string{"submit", "depend", "priority", "exception", "clean"}, d.knows(waiting))
		assert.Empty(t, d.ended)
	}
}

func TestJournalEnds(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(r *fluxtest.Request)
		is     error
	}{
		"of old": {func(r *fluxtest.Request) {
			r.Respond(map[string]any{"events": []any{map[string]any{"id": 1, "eventlog_seq": 0}}})
		}, syscall.ENOSYS},
		"not permitted": {func(r *fluxtest.Request) { r.Error(syscall.EPERM, "Request requires owner credentials") }, syscall.EPERM},
		"unloaded":      {func(r *fluxtest.Request) { r.Error(syscall.ENODATA, "") }, syscall.ENODATA},
		"garbage":       {func(r *fluxtest.Request) { r.Respond("?") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, fluxtest.Config{Size: 1})
			i.Handle("job-manager.events-journal", func(r *fluxtest.Request) {
				test.answer(r)
				test.answer(r) // later messages are ignored
			})
			c := dial(t, i.URI())
			d := newDiary()
			require.NoError(t, c.Journal(t.Context(), d))
			err := <-d.ended
			require.Error(t, err)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			_, err = c.KnownJobs(t.Context())
			require.NoError(t, err, "the connection still works")
			assert.Empty(t, d.ended)
		})
	}
	c := dial(t, newInstance(t, fluxtest.Config{Size: 1}).URI())
	c.Close()
	assert.ErrorIs(t, c.Journal(t.Context(), newDiary()), flux.ErrClosed)
}
