package agent

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/jobrecords"
)

// Jobs that succeed, fail, are canceled while they run, and never run, are in the file of records.
func TestRealJobRecords(t *testing.T) {
	r := realCluster{Document: document("v1alpha2", "size: 1\nlogging: {quiet: true}\narchive: {path: /srv/archive.tar, jobRecords: /srv/jobs.jsonl}", `
cores: 2
launcher: true
command: |
  flux run --quiet --job-name=good true
  flux run --quiet --job-name=bad sh -c 'exit 3' 2>/dev/null
  id=$(flux submit --job-name=long -c2 sleep inf)
  flux job wait-event "$id" start >/dev/null
  flux cancel $(flux submit --job-name=never true)
commands: {post: cat /srv/jobs.jsonl}`)}.run(t)
	assert.Zero(t, r.Code)
	got := map[string]jobrecords.Record{}
	for line := range strings.Lines(r.Stdout) {
		var record jobrecords.Record
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		got[record.Name] = record
	}
	require.Len(t, got, 4)
	for name, want := range map[string]struct {
		result string
		code   *int
	}{
		"good": {"completed", new(0)}, "bad": {"failed", new(3)}, "long": {"canceled", new(143)}, "never": {"canceled", nil},
	} {
		record := got[name]
		assert.Equal(t, want.result, record.Result, name)
		assert.Equal(t, want.code, record.ExitCode, name)
		assert.Equal(t, "flux-sample", record.MiniCluster)
		assert.Equal(t, "root", record.User)
		assert.False(t, record.Submitted.After(record.Ended), name)
		if name == "never" {
			assert.Nil(t, record.Started)
			continue
		}
		assert.Equal(t, 1, record.Nodes, name)
		assert.Equal(t, "0", record.Ranks, name)
		require.NotNil(t, record.Started, name)
		assert.InDelta(t, record.Ended.Sub(*record.Started).Seconds(), record.Seconds, 0.01, name)
	}
}
