package flux

import (
	"errors"
	"fmt"
	"syscall"
)

// errClosed is the error of calls on a client after [Client.Close].
var errClosed = errors.New("the connection to the broker is closed")

// errOverflow ends a stream whose reader fell behind.
var errOverflow = errors.New("messages arrived faster than they were read")

// Error is an error response of a broker. errors.Is compares it with an errno: errors.Is(err, syscall.ENOSYS).
type Error struct {
	// Topic is the service and the method.
	Topic string
	// Errno is the error number, never 0.
	Errno syscall.Errno
	// Text is the explanation of the broker, if any.
	Text string
}

// Error returns the method, the errno and the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s: %v", e.Topic, e.Errno)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Topic, e.Text, e.Errno)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// notOffered reports whether err says that the broker has no such service: an old version, or a module that is not
// loaded (yet).
func notOffered(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Errno == syscall.ENOSYS
}
