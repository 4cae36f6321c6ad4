package appmetric

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func directory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "metrics")
	require.NoError(t, Prepare(dir, -1, -1))
	require.NoError(t, Prepare(dir, -1, -1), "the container has restarted")
	return dir
}

func set(t *testing.T, dir, name, value string, expiry time.Duration) error {
	t.Helper()
	v, err := Parse(name, value, expiry, now)
	require.NoError(t, err)
	return Set(dir, v, now)
}

func TestSet(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	require.NoError(t, set(t, dir, "wanted", "12", time.Minute))
	require.NoError(t, set(t, dir, "progress", "0.12345", time.Hour))
	assert.Equal(t, []Value{
		{Name: "progress", Value: .123, Expires: now.Add(time.Hour)}, {Name: "wanted", Value: 12, Expires: now.Add(time.Minute)},
	}, Read(dir, now))
	require.NoError(t, set(t, dir, "wanted", "3", time.Minute))
	assert.InDelta(t, 3, Read(dir, now)[1].Value, 0)
	assert.Len(t, Read(dir, now.Add(time.Minute)), 1, "the other one has expired")
	require.NoError(t, Unset(dir, "progress"))
	require.NoError(t, Unset(dir, "progress"))
	assert.Len(t, Read(dir, now), 1)
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, value string
		expiry      time.Duration
		want        string
	}{
		{"Wanted", "1", time.Minute, "lower case"},
		{"../wanted", "1", time.Minute, "lower case"},
		{"", "1", time.Minute, "lower case"},
		{"wanted", "many", time.Minute, "between 0 and 1000000000"},
		{"wanted", "-1", time.Minute, "between 0"},
		{"wanted", "NaN", time.Minute, "between 0"},
		{"wanted", "Inf", time.Minute, "between 0"},
		{"wanted", "1", 0, "between 1s and 24h"},
		{"wanted", "1", 25 * time.Hour, "between 1s and 24h"},
	} {
		_, err := Parse(tc.name, tc.value, tc.expiry, now)
		assert.ErrorContains(t, err, tc.want, tc)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	for i := range MaxMetrics {
		require.NoError(t, set(t, dir, fmt.Sprintf("m%d", i), "1", time.Minute))
	}
	require.ErrorContains(t, set(t, dir, "wanted", "1", time.Minute), "16 metrics already")
	require.NoError(t, set(t, dir, "m3", "2", time.Minute), "it exists")
	for name, text := range map[string]string{
		"a_long_one": `{"value":1,"expires":"2026-03-14T09:00:01Z"}` + string(make([]byte, 300)),
		"a_text":     "12", "a_negative": `{"value":-1,"expires":"2026-03-14T09:00:01Z"}`, "a_late": `{"value":1,"expires":"2030-03-14T09:00:01Z"}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	values := Read(dir, now)
	assert.Len(t, values, MaxMetrics)
	assert.Equal(t, "m0", values[0].Name)
}

func TestPrepareRejectsOtherDirectories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "metrics")
	require.ErrorIs(t, Set(dir, Value{Name: "wanted"}, now), errNoDirectory)
	require.ErrorIs(t, Unset(dir, "wanted"), errNoDirectory)
	require.NoError(t, os.Symlink(t.TempDir(), dir))
	require.ErrorContains(t, Prepare(dir, -1, -1), "must be a directory")
	require.NoError(t, os.Remove(dir))
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorContains(t, Prepare(dir, -1, -1), "must be a directory")
}
