//go:build unix && !linux

package process

import "syscall"

// dieWithParent is not supported here: after a crash, children have to be ended manually.
func dieWithParent(*syscall.SysProcAttr) {}
