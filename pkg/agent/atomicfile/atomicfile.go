// Package atomicfile replaces files atomically: a reader sees either the old or the new content, never a part of it.
// All packages of the agent use it; do not write another one.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Owner is the user and the group that own a file.
type Owner struct{ UID, GID int }

// Write replaces the content of a file. Until the file has its mode and its owner, no other user can read it. A nil
// owner keeps the user and the group of the process.
func Write(name string, content []byte, mode fs.FileMode, owner *Owner) error {
	return write(name, bytes.NewReader(content), mode, owner)
}

// Copy copies a file.
func Copy(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy a file: %w", err)
	}
	defer in.Close()
	return write(to, in, mode, nil)
}

func write(name string, content io.Reader, mode fs.FileMode, owner *Owner) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".minicluster-*")
	if err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	defer os.RemoveAll(f.Name()) // has no effect after the rename
	_, err = io.Copy(f, content)
	if err == nil && owner != nil && *owner != (Owner{os.Geteuid(), os.Getegid()}) {
		err = f.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		err = f.Chmod(mode) // independent of the umask
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}
