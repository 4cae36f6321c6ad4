package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

const journalTopic = "job-manager.events-journal"

// onRank5 is a job that needs six nodes, since it can only run on the sixth.
const onRank5 = `{"version":1,"resources":[{"type":"node","count":1,"with":[{"type":"slot","count":1,"label":"task","with":[{"type":"core","count":1}]}]}],
	"attributes":{"system":{"duration":0,"constraints":{"ranks":["5"]}}}}`

// submitsLater is the journal of an instance in which job 7 is submitted as soon as a client reads it. An event
// contains its jobspec; the events are sent one at a time.
func submitsLater(with string) fluxtest.Handler {
	return func(r *fluxtest.Request) {
		var in struct{ Allow map[string]int }
		if r.Decode(&in) != nil {
			return
		}
		r.Respond(map[string]any{"id": -1, "events": []any{}})
		for _, name := range []string{"submit", "validate", "depend", "priority"} {
			if _, ok := in.Allow[name]; !ok {
				continue
			}
			out := map[string]any{"id": 7, "events": []any{map[string]any{"timestamp": 1.0, "name": name, "context": map[string]any{"priority": 16}}}}
			if name == with {
				out["jobspec"] = json.RawMessage(onRank5)
			}
			r.Respond(out)
		}
	}
}

// again returns a snapshot that differs from the last one.
func again(t *testing.T, e *exporter) (*snapshot, error) {
	t.Helper()
	last := <-e.turn
	e.turn <- nil
	s, err := e.snapshot(t.Context())
	if last != nil {
		assert.NotSame(t, last, s)
	}
	return s, err
}

func newExporterOf(t *testing.T, i *fluxtest.Instance) *exporter {
	t.Helper()
	broker := newConn(i.URI(), -1)
	t.Cleanup(broker.close)
	return newExporter(broker, "")
}

// TestBrokerThatBegins checks that the journal is read once a starting broker has a job manager.
func TestBrokerThatBegins(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.Handle(journalTopic, nil)
	i.Handle("job-manager.stats-get", nil)
	e := newExporterOf(t, i)
	_, err := e.snapshot(t.Context())
	require.Error(t, err)
	i.Handle(journalTopic, submitsLater("submit"))
	i.Handle("job-manager.stats-get", func(r *fluxtest.Request) { r.Respond(map[string]any{"active_jobs": 1}) })
	require.Eventually(t, func() bool {
		s, err := again(t, e)
		return err == nil && e.collector.jobs != nil && s.demand.nodes == 6
	}, time.Minute, time.Millisecond)
}

// TestJournalComesLater checks that the journal is requested again after a while if only the journal failed.
func TestJournalComesLater(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.SetJobs(flux.Job{ID: 7, State: flux.JobSched, Nodes: 1})
	i.Handle(journalTopic, nil)
	e := newExporterOf(t, i)
	s, err := e.snapshot(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, s.demand.nodes, "as it is listed")
	assert.Nil(t, e.collector.jobs)
	assert.False(t, e.collector.isStale())
	i.Handle(journalTopic, submitsLater("submit"))
	e.collector.refused = e.collector.refused.Add(-2 * journalAgain)
	require.Eventually(t, func() bool {
		s, err := again(t, e)
		return err == nil && e.collector.jobs != nil && s.demand.nodes == 6
	}, time.Minute, time.Millisecond)
}

// TestJobspecWithValidate checks the events of Flux 0.61 and 0.62.
func TestJobspecWithValidate(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4, Attrs: map[string]string{"version": "0.62.0"}})
	i.Handle(journalTopic, submitsLater("validate"))
	e := newExporterOf(t, i)
	require.Eventually(t, func() bool {
		s, err := again(t, e)
		return err == nil && s.demand.nodes == 6
	}, time.Minute, time.Millisecond)
	assert.NotNil(t, e.collector.jobs)
}

// TestJobspecTooLong checks that a jobspec with large embedded files is listed with the others.
func TestJobspecTooLong(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.SetJobs(flux.Job{ID: 7, State: flux.JobSched, Nodes: 2})
	long := strings.Replace(onRank5, `"duration":0`, `"duration":0,"files":{"data":{"data":"`+strings.Repeat("x", flux.DefaultMaxMessage)+`"}}`, 1)
	i.Handle(journalTopic, func(r *fluxtest.Request) {
		r.Respond(map[string]any{"id": 7, "jobspec": json.RawMessage(long), "events": []any{map[string]any{"timestamp": 1.0, "name": "submit"}}})
		r.Respond(map[string]any{"id": -1, "events": []any{}})
	})
	e := newExporterOf(t, i)
	for range 3 {
		s, err := again(t, e)
		require.NoError(t, err)
		assert.Equal(t, 2, s.demand.nodes)
	}
}

// TestJobThatStartsMeanwhile checks that a job that starts between the two requests is counted.
func TestJobThatStartsMeanwhile(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 8, Cores: 4})
	i.SetJobs(flux.Job{ID: 7, State: flux.JobSched, Nodes: 8})
	e := newExporterOf(t, i)
	s, err := e.snapshot(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 8, s.demand.nodes)

	// The last answer arrives after the others, when the job already runs. If it were even later, the job would still be
	// counted.
	i.Handle("overlay.health", func(r *fluxtest.Request) {
		time.AfterFunc(100*time.Millisecond, func() {
			i.SetJobs(flux.Job{ID: 7, State: flux.JobRun, Nodes: 8, Ranks: flux.IDRange(0, 7)})
			r.Respond(map[string]any{"rank": 0, "status": "full"})
		})
	})
	s, err = again(t, e)
	require.NoError(t, err)
	assert.Equal(t, 8, s.demand.nodes, "the pending job runs now")
}

func TestConstraintsAreBounded(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"not":[`, depth) + `{"ranks":["0"]}` + strings.Repeat(`]}`, depth)
	}
	match := func(constraint string) error {
		_, err := newMatcher(flux.Resources{}).match(json.RawMessage(constraint))
		return err
	}
	require.NoError(t, match(nested(maxDepth-1)))
	all := fmt.Sprintf(`"a[0-%d]"`, flux.MaxNodes-1)
	require.NoError(t, match(`{"hostlist":[`+all+`]}`))
	for constraint, want := range map[string]string{
		nested(maxDepth):                                         "nested more than 64 levels deep",
		`{"hostlist":[` + all + `,"b"]}`:                         "host names",
		`{"hostlist":["a[00000000000-1]"]}`:                      "more than 10 digits",
		`{"or":[{"hostlist":[` + all + `]},{"hostlist":["b"]}]}`: "host names",
	} {
		assert.ErrorContains(t, match(constraint), want)
	}
}

// TestConstraintsOfAScrapeAreBounded checks that constraints of a hundred users with the maximal number of hosts cost
// as much as one.
func TestConstraintsOfAScrapeAreBounded(t *testing.T) {
	m := newMatcher(flux.Resources{})
	begin, last := cpu(t), time.Duration(0)
	for n := range 100 {
		_, err := m.match(json.RawMessage(fmt.Sprintf(`{"hostlist":["h%d[0-%d]"]}`, n, flux.MaxNodes-1)))
		if n == 0 {
			require.NoError(t, err)
			last = cpu(t) - begin
		} else {
			require.ErrorContains(t, err, "host names")
		}
	}
	_, err := m.match(json.RawMessage(fmt.Sprintf(`{"hostlist":["h0[0-%d]"]}`, flux.MaxNodes-1)))
	require.NoError(t, err, "the same constraint is not evaluated again")
	took := cpu(t) - begin
	t.Logf("the first: %v, 100: %v", last, took)
	assert.Less(t, took, 10*last+100*time.Millisecond)
}

// TestLongEntriesOfTheJournal checks that a job whose entry exceeds the limit of a message does not cause a scrape
// without numbers.
func TestLongEntriesOfTheJournal(t *testing.T) {
	i := instance(t, fluxtest.Config{Size: 2})
	i.Handle("job-manager.events-journal", func(r *fluxtest.Request) {
		r.Respond(map[string]any{"id": 1, "pad": strings.Repeat("x", flux.DefaultMaxMessage+1), "events": []any{}})
	})
	broker := newConn(i.URI(), -1)
	defer broker.close()
	e := newExporter(broker, "")
	s, err := again(t, e)
	require.NoError(t, err)
	assert.Equal(t, flux.StateRun, s.state)
	assert.False(t, e.listing.IsZero())
	e.listing = time.Now().Add(-journalAgain - time.Second) // that time has passed
	s, err = again(t, e)
	require.NoError(t, err, "the journal is tried again and fails")
	assert.Equal(t, flux.StateRun, s.state)
	assert.False(t, e.listing.IsZero())
}
