package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// fileRestoring is in the state directory as long as an archive is being restored
// into it.
const fileRestoring = "minicluster.restoring"

// archiveToRestore is the archive that the lead starts from: only where nothing is
// in the state directory yet, otherwise finished jobs would be pending again. A
// restore that was cut short is done over.
func (r *runner) archiveToRestore(stateDir string) (string, error) {
	file := r.plan.Archive.Path
	if file == "" {
		return "", nil
	}
	if _, err := os.Stat(r.path(file)); errors.Is(err, fs.ErrNotExist) {
		// The agent may have ended between putting the old one aside and the new one in
		// its place.
		file = previousArchive(file)
		if _, err := os.Stat(r.path(file)); err != nil {
			return "", nil
		}
	} else if err != nil {
		return "", fmt.Errorf("looking for the archive: %w", err)
	}
	found, err := instanceFiles(stateDir)
	if err != nil {
		return "", err
	}
	marker := filepath.Join(stateDir, fileRestoring)
	if len(found) > 0 && !exists(marker) {
		return "", nil
	}
	for _, name := range found {
		if err := os.Remove(name); err != nil {
			return "", fmt.Errorf("removing what was restored in part: %w", err)
		}
	}
	if err := r.writeState(fileRestoring, nil); err != nil {
		return "", fmt.Errorf("recording that an archive is restored: %w", err)
	}
	return r.path(file), nil
}

// instanceFiles are the files in a state directory that have an instance's content.
func instanceFiles(stateDir string) ([]string, error) {
	// What is missing is found when the broker starts.
	found, err := filepath.Glob(filepath.Join(stateDir, "content.sqlite*"))
	if err != nil {
		return nil, fmt.Errorf("looking into the state directory: %w", err)
	}
	return found, nil
}

// previousArchive is where the predecessor of an archive is kept.
func previousArchive(file string) string {
	return file + ".previous"
}

// partialArchive is what an archive is named until it is whole. Its ending tells
// flux dump the format.
func partialArchive(file string) string {
	dir, name := filepath.Split(file)
	return filepath.Join(dir, ".partial-"+name)
}

// saver saves the instance's content as an archive.
type saver struct {
	agent *agent
	mu    sync.Mutex // one at a time
}

func (a *agent) newSaver() *saver {
	return &saver{agent: a}
}

// periodically saves the instance while it runs, if that is asked for, until the
// returned function is called.
func (v *saver) periodically(ctx context.Context) (stop func()) {
	archive := v.agent.plan.Archive
	if archive.Path == "" || archive.PeriodSeconds <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(time.Duration(archive.PeriodSeconds) * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := v.save(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The instance was not saved; it is tried again", "archive", archive.Path)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// saveAtEnd saves the instance after the program has ended. Running jobs are
// cancelled first, as Flux would do when it stops; a job that does not end, since
// the broker below it hangs, is saved as it is.
func (v *saver) saveAtEnd(ctx context.Context, s *stop) error {
	if v.agent.plan.Archive.Path == "" {
		return nil
	}
	// Whether Kubernetes has told the pod to stop or the program has ended: the same
	// time is enough.
	budget := min(s.grace/2, s.Left(s.grace/4))
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := v.quiesce(ctx, budget/2); err != nil {
		klog.FromContext(ctx).Error(err, "Jobs are saved as they run")
	}
	return v.save(ctx)
}

// quiesce stops queues and running jobs. The queues' being stopped is not saved.
func (v *saver) quiesce(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var errs []error
	for _, args := range [][]string{
		{"queue", "stop", "--quiet", "--all"},
		{"cancel", "--user=all", "--quiet", "--states=RUN"},
		{"queue", "idle", "--quiet"},
	} {
		if err := v.agent.fluxCommand(ctx, args...); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// save writes an archive beside the one that is there, and puts it in its place
// when it is whole. One predecessor is kept.
func (v *saver) save(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	file := v.agent.path(v.agent.plan.Archive.Path)
	partial := partialArchive(file)
	defer os.RemoveAll(partial)
	if err := v.agent.fluxCommand(ctx, "dump", "--quiet", partial); err != nil {
		return err
	}
	if err := syncFile(partial); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	if err := os.Rename(file, previousArchive(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keeping the previous archive: %w", err)
	}
	if err := os.Rename(partial, file); err != nil {
		return fmt.Errorf("putting the archive in its place: %w", err)
	}
	return nil
}

// syncFile makes sure that a file is on its disk: a network file system may find
// only then that it is full.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
