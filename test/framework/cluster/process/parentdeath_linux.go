package process

import "syscall"

// dieWithParent makes the kernel end a child when this process ends in a way that lets it clean up nothing: a
// panic, a test's timeout, kill -9.
func dieWithParent(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGKILL
}
