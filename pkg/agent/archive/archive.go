// Package archive saves the content of a Flux instance to a file, and decides when a lead starts from that file.
// There must be a complete archive at any time once the first one exists, and a restore must not remove content that
// it did not write.
package archive

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

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
)

// previous returns where the predecessor of an archive is kept.
func previous(file string) string {
	return file + ".previous"
}

// partial returns the name of an archive until it is complete. flux dump derives the format from the extension.
func partial(file, part string) string {
	dir, name := filepath.Split(file)
	return filepath.Join(dir, ".partial-"+part+"-"+name)
}

// Partial returns the name of an archive of a hibernation until it is verified.
func Partial(file, part string) string { return partial(file, part) }

// Saver saves the content of the instance.
type Saver struct {
	// File is the archive, "" for none.
	File string
	// Period between two archives; 0: only at the end.
	Period time.Duration
	// Flux runs a flux command.
	Flux func(ctx context.Context, args ...string) error
}

// Periodically saves the instance while it runs, if there is a period, until the returned function is called.
func (v *Saver) Periodically(ctx context.Context) (stop func()) {
	if v.File == "" || v.Period <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(v.Period)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := v.save(ctx, true); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Failed to save the instance; retrying", "archive", v.File)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// SaveAtEnd saves the instance after the program has ended. It cancels running jobs first, as Flux does when it stops.
// A job whose broker hangs does not end. The archive must not contain a job while it ends, because Flux cannot restore
// that: in this case the archive from before the cancellation stays.
func (v *Saver) SaveAtEnd(ctx context.Context, s *shutdown.Shutdown) error {
	if v.File == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-s.Expired(ctx.Done(), s.Reserve()/2)
		cancel()
	}()
	// The state of the broker must not say that they are stopped: the next broker with that state would run no job.
	if err := v.Flux(ctx, "queue", "stop", "--quiet", "--all", "--nocheckpoint"); err != nil {
		return err
	}
	// An archive that exists is published at once: the pod may be killed.
	file, errRunning := v.dump(ctx, "running")
	if errRunning == nil {
		errRunning = v.publish(file, true)
	}
	os.RemoveAll(file)
	if err := v.quiesce(ctx, s.Grace()/5); err != nil {
		klog.FromContext(ctx).Error(err, "Jobs do not end; the archive contains them as running")
		return errRunning
	}
	return v.save(ctx, errRunning != nil)
}

// quiesce cancels running jobs and waits for their end.
func (v *Saver) quiesce(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := v.Flux(ctx, "cancel", "--user=all", "--quiet", "--states=RUN"); err != nil {
		return err
	}
	return v.Flux(ctx, "queue", "idle", "--quiet")
}

// save writes an archive and publishes it. keep says whether the current archive becomes the predecessor.
func (v *Saver) save(ctx context.Context, keep bool) error {
	file, err := v.dump(ctx, "idle")
	defer os.RemoveAll(file)
	if err != nil {
		return err
	}
	return v.publish(file, keep)
}

// dump writes an archive beside the current one, and returns its name.
func (v *Saver) dump(ctx context.Context, part string) (string, error) {
	file := partial(v.File, part)
	if err := v.Flux(ctx, "dump", "--quiet", file); err != nil {
		return file, err
	}
	if err := syncFile(file); err != nil {
		return file, fmt.Errorf("writing the archive: %w", err)
	}
	return file, nil
}

// publish gives a complete archive its final name. The current archive becomes the predecessor if keep is set. There is
// an archive at any time.
func (v *Saver) publish(file string, keep bool) error { return publish(file, v.File, keep) }

// VerifyAndPublish verifies the partial archive part, and gives it the name file; "" verifies what has that name, or
// its predecessor.
func VerifyAndPublish(ctx context.Context, file, part string) (Contents, error) {
	if part == "" {
		if !pod.Exists(file) {
			file = previous(file)
		}
		return verify(ctx, file)
	}
	if err := syncFile(part); err != nil {
		return Contents{}, fmt.Errorf("writing the archive: %w", err)
	}
	contents, err := verify(ctx, part)
	if err != nil {
		return Contents{}, err
	}
	if err := ctx.Err(); err != nil {
		return Contents{}, fmt.Errorf("publishing the archive: %w", err) // the caller waits no longer
	}
	if err := publish(part, file, true); err != nil {
		return Contents{}, err
	}
	// The name must survive a crash of the machine, because the pods are deleted next.
	if err := syncFile(filepath.Dir(file)); err != nil {
		return Contents{}, fmt.Errorf("publishing the archive: %w", err)
	}
	return contents, nil
}

func publish(file, to string, keep bool) error {
	if keep {
		if err := keepCurrent(to); err != nil {
			return fmt.Errorf("keeping the previous archive: %w", err)
		}
	}
	if err := os.Rename(file, to); err != nil {
		return fmt.Errorf("publishing the archive: %w", err)
	}
	return nil
}

// keepCurrent makes the current archive the predecessor: with a second name, or, on file systems without hard links,
// with another name.
func keepCurrent(file string) error {
	if _, err := os.Stat(file); err != nil {
		return nil //nolint:nilerr // there is none
	}
	link := previous(file) + ".new"
	err := os.Remove(link)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Link(file, link)
	}
	if err != nil {
		return os.Rename(file, previous(file))
	}
	return os.Rename(link, previous(file))
}

// syncFile writes a file to disk: a network file system may report only then that it is full.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
