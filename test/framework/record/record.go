// Package record reads and writes the records of tests that are run by hand: JSON files of this repository.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Load reads a record into a pointer. A file that does not exist changes nothing.
func Load(path string, into any) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the record: %w", err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("reading the record %s: %w", path, err)
	}
	return nil
}

// Save writes a record.
func Save(path string, record any) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil { //nolint:gosec // a file of the repository
		return fmt.Errorf("writing the record: %w", err)
	}
	return nil
}
