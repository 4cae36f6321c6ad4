package main

import "syscall"

// dieWithParent makes a child end when this process does, even if it is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
