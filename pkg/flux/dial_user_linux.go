package flux

import "syscall"

// setThreadUser is the plain system call: syscall.Setresuid would change all threads of the process.
func setThreadUser(uid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return errno
	}
	return nil
}
