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

// ToRestore returns the archive from which the lead starts, "" for none. An archive is restored only into an empty
// state directory: otherwise finished jobs would be pending again. An interrupted restore is repeated; what it left is
// renamed and not removed. The files that it writes get the owner.
//
// from is another archive, "" for none, which is read if there is no own one yet, or, if newest is set, if it is newer.
// It is an error if it does not exist: an empty instance would look like one whose jobs are done.
func ToRestore(file, from string, newest bool, stateDir string, owner *atomicfile.Owner) (string, error) {
	found, err := contentFiles(stateDir)
	if err != nil {
		return "", err
	}
	marker := filepath.Join(stateDir, fileRestoring)
	if len(found) > 0 && !pod.Exists(marker) {
		return "", nil
	}
	file, err = choose(file, from, newest)
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

// choose returns the archive that a lead with an empty state directory restores, "" for none: its own one, unless
// newest is set and the other one is newer.
func choose(file, from string, newest bool) (string, error) {
	own, ownTime := existing(file)
	other, otherTime := existing(from)
	switch {
	case own != "" && (other == "" || !newest || !otherTime.After(ownTime)):
		return own, nil
	case other != "":
		return other, nil
	case from != "":
		return "", fmt.Errorf("restoring from another archive: %s does not exist", from)
	default:
		return "", nil
	}
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
