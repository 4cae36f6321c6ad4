package jobrecords

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

func appendAll(t *testing.T, i *fluxtest.Instance, file, minicluster string) int {
	t.Helper()
	client, err := flux.Dial(t.Context(), i.URI())
	require.NoError(t, err)
	defer client.Close()
	number, err := Append(t.Context(), client, file, "climate", minicluster)
	require.NoError(t, err)
	return number
}

func TestAppend(t *testing.T) {
	i, err := fluxtest.NewInstance(fluxtest.Config{Size: 4})
	require.NoError(t, err)
	defer i.Close()
	i.SetJobs(
		flux.Job{ID: 1, State: flux.JobInactive, Name: "model <a>", UserID: 1 << 30, Ranks: flux.IDs(0, 1), Nodes: 2, Cores: 4, Tasks: 2,
			Submitted: 1000.5},
		flux.Job{ID: 2, State: flux.JobRun, Name: "running", Submitted: 1001},
		flux.Job{ID: 3, State: flux.JobInactive, Name: "earlier", Submitted: 900},
	)
	i.Update(func() { i.State.Jobs[0].Ended, i.State.Jobs[2].Ended = 1012.25, 950 })
	file := filepath.Join(t.TempDir(), "jobs.jsonl")
	assert.Equal(t, 2, appendAll(t, i, file, "first"))
	assert.Equal(t, 0, appendAll(t, i, file, "first"), "an instance that was restored has the same jobs")

	// A line of another writer, and one that was not written to its end.
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("{\"unknown\": 1}\n{\"job\": \"ƒ")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, 2, appendAll(t, i, file, "second"), "another MiniCluster may have a job of this ID")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, 6)
	assert.Contains(t, lines[0], `"earlier"`, "in the order of their ends")
	assert.Contains(t, lines[1], "model <a>")
	var r Record
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &r))
	assert.Equal(t, "first", r.MiniCluster)
	assert.Equal(t, "ƒ2", r.Job)
	assert.Equal(t, "0-1", r.Ranks)
	assert.Equal(t, "1970-01-01T00:16:40.5Z", r.Submitted.Format("2006-01-02T15:04:05.9Z07:00"))
}

func TestRecords(t *testing.T) {
	job := func(status *int, result flux.Result) flux.EndedJob {
		return flux.EndedJob{Job: flux.Job{ID: 1, Submitted: 10, Inactive: 30.1234}, Started: 20, WaitStatus: status, Result: result}
	}
	for name, tc := range map[string]struct {
		job    flux.EndedJob
		code   *int
		result string
	}{
		"completed":   {job(new(0), flux.ResultCompleted), new(0), "completed"},
		"failed":      {job(new(3<<8), flux.ResultFailed), new(3), "failed"},
		"killed":      {job(new(9), flux.ResultFailed), new(137), "failed"},
		"canceled":    {job(new(15), flux.ResultCanceled), new(143), "canceled"},
		"never ran":   {job(nil, flux.ResultCanceled), nil, "canceled"},
		"timed out":   {job(new(14), flux.ResultTimeout), new(142), "timeout"},
		"new results": {job(nil, 16), nil, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := records([]flux.EndedJob{tc.job}, "", "")[0]
			assert.Equal(t, tc.code, r.ExitCode)
			assert.Equal(t, tc.result, r.Result)
			assert.InDelta(t, 10.123, r.Seconds, 1e-9)
		})
	}
	never := records([]flux.EndedJob{{Job: flux.Job{Submitted: 1, Inactive: 2}}}, "", "")[0]
	assert.Nil(t, never.Started)
	assert.Zero(t, never.Seconds)
}
