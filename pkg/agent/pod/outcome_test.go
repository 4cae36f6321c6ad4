package pod

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOutcome(t *testing.T) {
	uid := os.Geteuid()
	file := filepath.Join(t.TempDir(), "state", "program.json")
	assert.Nil(t, ReadOutcome(file, uid))
	require.NoError(t, ReserveOutcome(file, nil))
	assert.Nil(t, ReadOutcome(file, uid), "reserved only")
	for _, o := range []Outcome{{Code: 137, Stopped: true, Saving: true}, {Code: 3}, {}} {
		require.NoError(t, WriteOutcome(file, o))
		assert.Equal(t, &o, ReadOutcome(file, uid))
	}
	info, err := os.Stat(filepath.Dir(file))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700)|os.ModeDir, info.Mode())
	require.NoError(t, ReserveOutcome(file, nil))
	assert.Nil(t, ReadOutcome(file, uid), "the outcome of an earlier run was removed")
}

func TestOutcomeOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "program.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"code":0}`), 0o644))
	assert.NotNil(t, ReadOutcome(file, os.Geteuid()))
	assert.Nil(t, ReadOutcome(file, os.Geteuid()+1), "it belongs to another user")
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(file, link))
	assert.Nil(t, ReadOutcome(link, os.Geteuid()), "a link may lead anywhere")
}
