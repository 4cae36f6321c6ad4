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
	if !exists(r.path(file)) {
		// The agent may have ended between putting the old one aside and the new one in
		// its place.
		file = previousArchive(file)
	}
	if !exists(r.path(file)) {
		return "", nil
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
func partialArchive(file, part string) string {
	dir, name := filepath.Split(file)
	return filepath.Join(dir, ".partial-"+part+"-"+name)
}

// saver saves the instance's content as an archive.
type saver struct {
	agent *agent
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
// cancelled before, as Flux would do when it stops. A job that does not end, since
// the broker below it hangs, must not be saved as it ends, because Flux can't
// restore that: then what was saved before the cancelling stands.
func (v *saver) saveAtEnd(ctx context.Context, s *stop) error {
	if v.agent.plan.Archive.Path == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.done(ctx.Done(), s.grace/4):
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := v.agent.fluxCommand(ctx, "queue", "stop", "--quiet", "--all"); err != nil {
		return err
	}
	running, errRunning := v.dump(ctx, "running")
	defer os.RemoveAll(running)
	if err := v.quiesce(ctx, s.grace/5); err != nil {
		if errRunning != nil {
			return errRunning
		}
		klog.FromContext(ctx).Error(err, "Jobs do not end; they are saved as they ran")
		return v.publish(running)
	}
	return v.save(ctx)
}

// quiesce cancels running jobs and waits for their end.
func (v *saver) quiesce(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := v.agent.fluxCommand(ctx, "cancel", "--user=all", "--quiet", "--states=RUN"); err != nil {
		return err
	}
	return v.agent.fluxCommand(ctx, "queue", "idle", "--quiet")
}

// save writes an archive and puts it in its place.
func (v *saver) save(ctx context.Context) error {
	partial, err := v.dump(ctx, "idle")
	defer os.RemoveAll(partial)
	if err != nil {
		return err
	}
	return v.publish(partial)
}

// dump writes an archive beside the one that is there, and returns its name.
func (v *saver) dump(ctx context.Context, part string) (string, error) {
	partial := partialArchive(v.agent.path(v.agent.plan.Archive.Path), part)
	if err := v.agent.fluxCommand(ctx, "dump", "--quiet", partial); err != nil {
		return partial, err
	}
	if err := syncFile(partial); err != nil {
		return partial, fmt.Errorf("writing the archive: %w", err)
	}
	return partial, nil
}

// publish puts an archive that is whole in its place. One predecessor is kept.
func (v *saver) publish(partial string) error {
	file := v.agent.path(v.agent.plan.Archive.Path)
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
