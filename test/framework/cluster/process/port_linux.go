package process

import (
	"errors"
	"fmt"
	"syscall"
)

// reserve makes a port unavailable to other calls of FreePort until this process ends: a socket with its number in the
// name, which is in no file system, can be bound once. The socket is not closed on purpose.
func reserve(port int) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("reserving port %d: %w", port, err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: fmt.Sprintf("@minicluster-port-%d", port)}); err != nil {
		return errors.Join(fmt.Errorf("reserving port %d: %w", port, err), syscall.Close(fd))
	}
	return nil
}
