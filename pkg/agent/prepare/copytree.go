package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// treeCopy copies directories with their content: modes, times, symbolic links and hard links. It continues an
// interrupted copy: a file is complete when it has its modification time, which is set last.
type treeCopy struct {
	// workers is the number of files that are copied concurrently.
	workers int
	// rewrite changes the target of a symbolic link, whose path is relative to the copied directory.
	rewrite func(link, target string) string

	jobs chan copyJob
	// links are the hard links to make, by the file to which they link.
	links map[inode][]string
}

type copyJob struct {
	from, to string
	info     fs.FileInfo
}

// inode is the identity of a file.
type inode struct{ dev, ino uint64 }

// madeDir is a directory whose mode and time are set when its content is complete.
type madeDir struct {
	path string
	info fs.FileInfo
}

// copy copies the content of the directory from into the directory to.
func (c *treeCopy) copy(ctx context.Context, from, to string) error {
	c.jobs = make(chan copyJob, 4*c.workers)
	c.links = map[inode][]string{}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for range c.workers {
		wg.Go(func() { c.work(ctx, stop) })
	}
	dirs, err := c.walk(ctx, from, to)
	close(c.jobs)
	wg.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the first error ends the copy
	}
	if err != nil {
		return err
	}
	if err := c.link(); err != nil {
		return err
	}
	// The innermost directory first: a change in a directory changes the time of its parent.
	for _, dir := range slices.Backward(dirs) {
		if err := finish(dir.path, dir.info); err != nil {
			return err
		}
	}
	return nil
}

// walk makes directories and symbolic links, and passes files to the workers.
func (c *treeCopy) walk(ctx context.Context, from, to string) ([]madeDir, error) {
	var dirs []madeDir
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(name, from))
		switch info.Mode().Type() {
		case fs.ModeDir:
			dirs = append(dirs, madeDir{target, info})
			return makeDir(target)
		case fs.ModeSymlink:
			return c.symlink(from, name, target)
		case 0:
			if c.hardlink(info, target) {
				return nil
			}
			c.jobs <- copyJob{name, target, info}
			return nil
		default:
			return nil // sockets and devices: a view does not need them
		}
	})
	return dirs, err
}

// makeDir makes a writable directory, or makes an existing one writable.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

func (c *treeCopy) symlink(base, from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	target = c.rewrite(strings.TrimPrefix(from, base), target)
	if old, err := os.Readlink(to); err == nil && old == target {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Symlink(target, to)
}

// hardlink records a further name of a file. The first name is copied.
func (c *treeCopy) hardlink(info fs.FileInfo, to string) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return false
	}
	key := inode{stat.Dev, stat.Ino}
	c.links[key] = append(c.links[key], to)
	return len(c.links[key]) > 1
}

// link makes the hard links.
func (c *treeCopy) link() error {
	for _, names := range c.links {
		first, err := os.Stat(names[0])
		if err != nil {
			return err
		}
		for _, name := range names[1:] {
			if info, err := os.Lstat(name); err == nil && os.SameFile(first, info) {
				continue
			}
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			if err := os.Link(names[0], name); err != nil {
				return err
			}
		}
	}
	return nil
}

// work copies files until there are no more, or one of them can't be copied.
func (c *treeCopy) work(ctx context.Context, stop context.CancelCauseFunc) {
	for job := range c.jobs {
		if ctx.Err() != nil {
			continue // the walk ends
		}
		if err := copyFile(job); err != nil {
			stop(fmt.Errorf("copying %s: %w", job.from, err))
		}
	}
}

// copyFile copies a file unless its copy is complete. The kernel copies the content, without moving data if the file
// system can share blocks (copy_file_range(2)).
func copyFile(job copyJob) error {
	if old, err := os.Lstat(job.to); err == nil {
		if old.Mode().IsRegular() && old.Size() == job.info.Size() && old.ModTime().Equal(job.info.ModTime()) {
			return nil
		}
		// The old file is removed and not overwritten: it may be a link to another file.
		if err := os.RemoveAll(job.to); err != nil {
			return err
		}
	}
	in, err := os.Open(job.from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(job.to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return finish(job.to, job.info)
}

// finish sets the mode of a copy and then its time. It drops the setuid bit, because the owner differs from that of
// the original.
func finish(path string, info fs.FileInfo) error {
	if err := os.Chmod(path, info.Mode().Perm()); err != nil {
		return err
	}
	times := []unix.Timespec{
		unix.NsecToTimespec(info.ModTime().UnixNano()),
		unix.NsecToTimespec(info.ModTime().UnixNano()),
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("setting the time of %s: %w", path, err)
	}
	return nil
}
