//go:build !linux

package flux

import "errors"

// setThreadUser fails: only Linux has users of a thread. The kubectl plugin, which also runs on macOS, does not need
// it.
func setThreadUser(int) error { return errors.ErrUnsupported }
