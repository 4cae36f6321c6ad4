package prepare

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var someTime = time.Unix(1700000000, 123456789)

// sampleTree has all kinds of files that a view contains.
func sampleTree(t *testing.T) string {
	t.Helper()
	from := filepath.Join(t.TempDir(), "from")
	require.NoError(t, os.MkdirAll(filepath.Join(from, "a/b"), 0o755))
	for n := range 200 {
		require.NoError(t, os.WriteFile(filepath.Join(from, fmt.Sprintf("a/b/%d", n)), []byte(strings.Repeat("x", n*37)), 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(from, "program"), []byte("#!"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(from, "program"), fs.ModeSetuid|0o755))
	require.NoError(t, os.Link(filepath.Join(from, "program"), filepath.Join(from, "a/hard")))
	require.NoError(t, os.Symlink("../gone", filepath.Join(from, "a/relative")))
	require.NoError(t, os.Symlink("/opt/view/x", filepath.Join(from, "a/absolute")))
	require.NoError(t, os.Symlink("b", filepath.Join(from, "a/dir")))
	require.NoError(t, unix.Mkfifo(filepath.Join(from, "fifo"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(from, "secret"), []byte("s"), 0o400))
	require.NoError(t, filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if entry.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(name, someTime, someTime)
	}))
	require.NoError(t, os.Chmod(filepath.Join(from, "a/b"), 0o555))
	require.NoError(t, os.Chtimes(filepath.Join(from, "a"), someTime, someTime))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(from, "a/b"), 0o755) })
	return from
}

func newTreeCopy() *treeCopy {
	return &treeCopy{workers: 4, rewrite: rewriteTargets("/opt/views/._view/abc", "/opt/views/._view/abc", "/mnt/flux/view")}
}

// assertCopied compares two trees.
func assertCopied(t *testing.T, from, to string) {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(from, name)
		require.NoError(t, err)
		if entry.Type() == fs.ModeNamedPipe {
			return nil
		}
		names[rel] = true
		want, err := os.Lstat(name)
		require.NoError(t, err)
		got, err := os.Lstat(filepath.Join(to, rel))
		require.NoError(t, err)
		if entry.Type() == fs.ModeSymlink {
			return nil
		}
		assert.Equal(t, want.Mode()&^fs.ModeSetuid, got.Mode(), rel)
		assert.Equal(t, want.ModTime(), got.ModTime(), rel)
		if want.Mode().IsRegular() {
			a, err := os.ReadFile(name)
			require.NoError(t, err)
			b, err := os.ReadFile(filepath.Join(to, rel))
			require.NoError(t, err)
			require.Equal(t, string(a), string(b), rel)
		}
		return nil
	})
	require.NoError(t, err)
	err = filepath.WalkDir(to, func(name string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(to, name)
		assert.True(t, names[rel], "%s is not in the original", rel)
		return err
	})
	require.NoError(t, err)
	for name, want := range map[string]string{"a/relative": "../gone", "a/absolute": "/mnt/flux/view/x", "a/dir": "b"} {
		target, err := os.Readlink(filepath.Join(to, name))
		require.NoError(t, err)
		assert.Equal(t, want, target)
	}
	one, err := os.Stat(filepath.Join(to, "program"))
	require.NoError(t, err)
	other, err := os.Stat(filepath.Join(to, "a/hard"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(one, other), "a hard link stays one")
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(to, "a/b"), 0o755) })
}

func TestTreeCopy(t *testing.T) {
	from := sampleTree(t)
	to := filepath.Join(t.TempDir(), "to")
	require.NoError(t, newTreeCopy().copy(t.Context(), from, to))
	assertCopied(t, from, to)
}

// An interrupted copy is continued.
func TestTreeCopyAfterCrash(t *testing.T) {
	from := sampleTree(t)
	to := filepath.Join(t.TempDir(), "to")
	require.NoError(t, newTreeCopy().copy(t.Context(), from, to))
	inode := func(name string) uint64 {
		info, err := os.Stat(filepath.Join(to, name))
		require.NoError(t, err)
		return info.Sys().(*syscall.Stat_t).Ino
	}
	whole := inode("a/b/100")
	require.NoError(t, os.Chmod(filepath.Join(to, "a/b"), 0o755))
	// Half written; written without its time; of the wrong kind; missing.
	require.NoError(t, os.Truncate(filepath.Join(to, "a/b/150"), 5))
	require.NoError(t, os.WriteFile(filepath.Join(to, "a/b/151"), []byte(strings.Repeat("y", 151*37)), 0o600))
	require.NoError(t, os.Remove(filepath.Join(to, "a/b/152")))
	require.NoError(t, os.Mkdir(filepath.Join(to, "a/b/152"), 0o755))
	require.NoError(t, os.Remove(filepath.Join(to, "a/hard")))
	require.NoError(t, os.WriteFile(filepath.Join(to, "a/hard"), []byte("other"), 0o644))
	require.NoError(t, os.Remove(filepath.Join(to, "a/relative")))
	require.NoError(t, os.Symlink("elsewhere", filepath.Join(to, "a/relative")))
	require.NoError(t, newTreeCopy().copy(t.Context(), from, to))
	assertCopied(t, from, to)
	assert.Equal(t, whole, inode("a/b/100"), "a complete file is not copied again")
}

func TestTreeCopyFails(t *testing.T) {
	from := sampleTree(t)
	assert.ErrorIs(t, newTreeCopy().copy(t.Context(), from+"/none", t.TempDir()), fs.ErrNotExist)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, newTreeCopy().copy(ctx, from, filepath.Join(t.TempDir(), "to")), context.Canceled)

	to := filepath.Join(t.TempDir(), "to")
	require.NoError(t, os.WriteFile(to, nil, 0o644))
	assert.ErrorIs(t, newTreeCopy().copy(t.Context(), from, to), syscall.ENOTDIR)
}

func BenchmarkTreeCopy(b *testing.B) {
	from := b.TempDir()
	for n := range 2000 {
		dir := filepath.Join(from, fmt.Sprint(n%50))
		require.NoError(b, os.MkdirAll(dir, 0o755))
		require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), make([]byte, 50<<10), 0o644))
	}
	b.SetBytes(2000 * 50 << 10)
	for b.Loop() {
		require.NoError(b, newTreeCopy().copy(b.Context(), from, b.TempDir()))
	}
}

// Links work in the copy, also relative ones that lead out of the copied directory.
func TestRewriteTargets(t *testing.T) {
	const view, to = "/opt/views/._view/abc", "/mnt/flux/view"
	for _, test := range []struct{ dir, link, target, want string }{
		{view, "/bin/flux", "flux-0.88", "flux-0.88"},
		{view, "/bin/flux", "../lib/flux", "../lib/flux"},
		{view, "/bin/flux", "../../../../software/core/bin/flux", "/opt/software/core/bin/flux"},
		{view, "/bin/flux", "../../older/bin/flux", "/opt/views/._view/older/bin/flux"},
		{view, "/bin/sh", "../../../../../bin/sh", "/bin/sh"},
		{view, "/lib/x", "/opt/view/lib/y", to + "/lib/y"},
		{view, "/lib/x", view + "/lib/y", to + "/lib/y"},
		{view, "/lib/x", "/opt/viewer/lib/y", "/opt/viewer/lib/y"},
		{"/opt/software", "/core/lib/x", "../../python/lib/y", "../../python/lib/y"},
		{"/opt/software", "/core/lib/x", "../../../views/._view/abc/lib/y", to + "/lib/y"},
	} {
		assert.Equal(t, test.want, rewriteTargets(test.dir, view, to)(test.link, test.target), "%s -> %s", test.link, test.target)
	}
}

// The first error ends the copy.
func TestFirstErrorEndsTheCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := filepath.Join(from, "a")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	info, err := os.Stat(file)
	require.NoError(t, err)
	c := newTreeCopy()
	c.jobs = make(chan copyJob, 2)
	c.jobs <- copyJob{filepath.Join(from, "gone"), filepath.Join(to, "gone"), info}
	c.jobs <- copyJob{file, filepath.Join(to, "a"), info}
	close(c.jobs)
	ctx, stop := context.WithCancelCause(t.Context())
	c.work(ctx, stop)
	assert.ErrorContains(t, context.Cause(ctx), "gone: no such file or directory")
	assert.NoFileExists(t, filepath.Join(to, "a"))

	assert.ErrorIs(t, c.copy(ctx, from, to), os.ErrNotExist, "not only the cancellation")
}
