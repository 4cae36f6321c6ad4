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
	oldest := write("oldest", 2*time.Hour)
	renamed := write("renamed.previous", 0)
	for _, tc := range []struct {
		name, file, from string
		newest           bool
		want             string
		earlier          []string
	}{
		{"no archive", none, "", false, "", nil},
		{"its own", older, "", true, older, nil},
		{"another one", none, newer, false, newer, nil},
		{"its own, although another one is newer", older, newer, false, older, nil},
		{"the newer one", older, newer, true, newer, nil},
		{"its own, which is newer", newer, older, true, newer, nil},
		{"a predecessor", filepath.Join(dir, "renamed"), older, true, renamed, nil},
		{"an earlier one, which is the newest", none, oldest, true, newer, []string{older, newer}},
		{"an earlier one, without another one", none, "", true, older, []string{older, none}},
		{"earlier ones that do not exist", none, "", true, "", []string{none}},
		{"another one, because earlier ones do not exist", none, older, true, older, []string{none}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := choose(Sources{Own: tc.file, Other: tc.from, Earlier: tc.earlier, Newest: tc.newest})
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := choose(Sources{Other: none, Newest: true})
	require.ErrorContains(t, err, none)
}
