package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/pod"
)

// fileRestoring exists in the state directory while an archive is restored into it.
const fileRestoring = "minicluster.restoring"

// Sources are the archives that a lead may start from.
type Sources struct {
	// Own is the archive that the lead writes, "" for none.
	Own string
	// Other is another archive, "" for none. It is read if there is no own one yet. It is an error if none exists then: an
	// empty instance would look like one whose jobs are done.
	Other string
	// Earlier are archives that the same cluster may have written.
	Earlier []string
	// Newest: the newest of all is read.
	Newest bool
}

// ToRestore returns the archive from which the lead starts, "" for none. An archive is restored only into an empty
// state directory: otherwise finished jobs would be pending again. An interrupted restore is repeated; what it left is
// renamed and not removed. The files that it writes get the owner.
func ToRestore(from Sources, stateDir string, owner *atomicfile.Owner) (string, error) {
	found, err := contentFiles(stateDir)
	if err != nil {
		return "", err
	}
	marker := filepath.Join(stateDir, fileRestoring)
	if len(found) > 0 && !pod.Exists(marker) {
		return "", nil
	}
	file, err := choose(from)
	if file == "" || err != nil {
		return "", err
	}
	if err := setAside(found); err != nil {
		return "", fmt.Errorf("renaming a partial restore: %w", err)
	}
	if err := atomicfile.Write(marker, nil, 0o600, owner); err != nil {
		return "", fmt.Errorf("recording the start of a restore: %w", err)
	}
	return file, nil
}

// choose returns the archive that a lead with an empty state directory restores, "" for none: its own one, unless the
// newest one is wanted.
func choose(from Sources) (string, error) {
	chosen, written := existing(from.Own)
	for _, file := range append([]string{from.Other}, from.Earlier...) {
		name, at := existing(file)
		if name != "" && (chosen == "" || from.Newest && at.After(written)) {
			chosen, written = name, at
		}
	}
	if chosen == "" && from.Other != "" {
		return "", fmt.Errorf("restoring from another archive: %s does not exist", from.Other)
	}
	return chosen, nil
}

// existing returns the path of an archive, or of its predecessor, and when it was written; "" if neither exists. The
// agent may have ended after it renamed the old archive and before it renamed the new one.
func existing(file string) (string, time.Time) {
	if file == "" {
		return "", time.Time{}
	}
	for _, name := range []string{file, previous(file)} {
		if info, err := os.Stat(name); err == nil {
			return name, info.ModTime()
		}
	}
	return "", time.Time{}
}

// setAside renames the content of an interrupted restore. It may be more than that, if the end of the restore could not
// be recorded.
func setAside(files []string) error {
	for _, name := range files {
		dir, base := filepath.Split(name)
		for i := 1; ; i++ {
			to := filepath.Join(dir, fmt.Sprintf("interrupted-restore-%d-%s", i, base))
			if pod.Exists(to) {
				continue
			}
			if err := os.Rename(name, to); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// Discard renames an archive, unless file is "", and the content of a state directory, so that the next instance starts
// empty. Files that were discarded earlier are replaced.
func Discard(file, stateDir string) error {
	names, err := contentFiles(stateDir)
	if err != nil {
		return err
	}
	if file != "" {
		names = append(names, file, previous(file))
	}
	for _, name := range names {
		dir, base := filepath.Split(name)
		err := os.Rename(name, filepath.Join(dir, "discarded-"+base))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("discarding the state of the instance: %w", err)
		}
	}
	return nil
}

// Restored records that the archive was restored.
func Restored(stateDir string) error {
	if err := os.Remove(filepath.Join(stateDir, fileRestoring)); err != nil {
		return fmt.Errorf("recording the end of a restore: %w", err)
	}
	return nil
}

// HasContent reports whether a state directory has the content of an instance.
func HasContent(stateDir string) (bool, error) {
	found, err := contentFiles(stateDir)
	return len(found) > 0, err
}

// contentFiles returns the files in a state directory that store the content of an instance.
func contentFiles(stateDir string) ([]string, error) {
	// A missing directory is found when the broker starts.
	found, err := filepath.Glob(filepath.Join(stateDir, "content.sqlite*"))
	if err != nil {
		return nil, fmt.Errorf("listing the state directory: %w", err)
	}
	return found, nil
}
