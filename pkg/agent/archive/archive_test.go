package archive

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArchiveNames(t *testing.T) {
	assert.Equal(t, "/a/x.tar.gz.previous", previous("/a/x.tar.gz"))
	assert.Equal(t, "/a/.partial-idle-x.tar.gz", partial("/a/x.tar.gz", "idle"), "flux dump derives the format from the extension")
}

// TestChoose: a cluster that wakes with the path of an archive that it wrote before continues with the newer one.
func TestChoose(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	write := func(name string, age time.Duration) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Chtimes(file, now, now.Add(-age)))
		return file
	}
	older, newer, none := write("older", time.Hour), write("newer", 0), filepath.Join(dir, "none")
	renamed := write("renamed.previous", 0)
	for _, tc := range []struct {
		name, file, from string
		newest           bool
		want             string
	}{
		{"no archive", none, "", false, ""},
		{"its own", older, "", true, older},
		{"another one", none, newer, false, newer},
		{"its own, although another one is newer", older, newer, false, older},
		{"the newer one", older, newer, true, newer},
		{"its own, which is newer", newer, older, true, newer},
		{"a predecessor", filepath.Join(dir, "renamed"), older, true, renamed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := choose(tc.file, tc.from, tc.newest)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := choose("", none, true)
	require.ErrorContains(t, err, none)
}
