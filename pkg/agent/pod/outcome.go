package pod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"minicluster.internal/operator/pkg/agent/atomicfile"
)

// Outcome is the result of the lead program. The initial program writes it for the agent that started the broker.
type Outcome struct {
	// Code is the exit code, as a shell reports it.
	Code int `json:"code"`
	// Stopped: the program was asked to stop before it ended.
	Stopped bool `json:"stopped,omitempty"`
	// Saving: the archive is being written.
	Saving bool `json:"saving,omitempty"`
}

// outcomeSize is the size of the file of an Outcome.
const outcomeSize = 512

// ReserveOutcome creates the file of an Outcome in a directory that only its owner can write to: another user of the
// pod must not be able to end the MiniCluster. The file has its final size, so that the outcome can be written even if
// the volume is full at that time. A nil owner is the user of the process.
func ReserveOutcome(file string, owner *atomicfile.Owner) error {
	dir := filepath.Dir(file)
	err := os.MkdirAll(dir, 0o700)
	if err == nil && owner != nil {
		err = os.Chown(dir, owner.UID, owner.GID)
	}
	if err == nil {
		err = atomicfile.Write(file, bytes.Repeat([]byte{' '}, outcomeSize), 0o600, owner)
	}
	if err != nil {
		return fmt.Errorf("reserving space for the outcome of the program: %w", err)
	}
	return nil
}

// WriteOutcome writes an Outcome into its reserved file.
func WriteOutcome(file string, o Outcome) error {
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the outcome of the program: %w", err)
	}
	text = append(text, bytes.Repeat([]byte{' '}, outcomeSize-len(text))...)
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(text, 0)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing the outcome of the program: %w", err)
	}
	return nil
}

// ReadOutcome returns the result of the lead program, nil while it runs. It ignores a file that does not belong to the
// user uid.
func ReadOutcome(file string, uid int) *Outcome {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != uid {
		return nil
	}
	text := make([]byte, outcomeSize)
	n, _ := f.ReadAt(text, 0) // a file that is too short is not an outcome
	var o Outcome
	if json.Unmarshal(text[:n], &o) != nil {
		return nil
	}
	return &o
}
