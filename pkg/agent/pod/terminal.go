package pod

import (
	"os"
	"syscall"
	"unsafe"
)

// IsTerminal reports whether a file is a terminal, ioctl_tty(2).
func IsTerminal(f *os.File) bool {
	var size [4]uint16
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return errno == 0
}
