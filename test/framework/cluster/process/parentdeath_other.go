//go:build unix && !linux

package process

import "syscall"

// dieWithParent has no counterpart here: after a crash, children have to be ended by hand.
func dieWithParent(*syscall.SysProcAttr) {}
