package process

import "syscall"

// dieWithParent makes the kernel end a child when this process ends without cleaning up: after a panic, a test's
// timeout, or kill -9.
func dieWithParent(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGKILL
}
