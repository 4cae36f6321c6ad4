package flux

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrClosed is the error of calls on a client after [Client.Close].
var ErrClosed = errors.New("the connection to the broker is closed")

// ErrOverflow ends a stream whose reader fell behind.
var ErrOverflow = errors.New("messages came faster than they were read")

// Error is what a broker answered to a request that failed. errors.Is compares
// it with an errno: errors.Is(err, syscall.ENOSYS).
type Error struct {
	// Topic is the service and the method that was called.
	Topic string
	// Errno is the error number, never 0.
	Errno syscall.Errno
	// Text is the broker's explanation, if it gave one.
	Text string
}

// Error names the method, the errno and the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s: %v", e.Topic, e.Errno)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Topic, e.Text, e.Errno)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// NotOffered says that err is a broker's answer that it has no such service:
// an old version, or a module that is not loaded (yet).
func NotOffered(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Errno == syscall.ENOSYS
}
