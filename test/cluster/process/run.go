package process

import (
	"os/exec"
	"runtime"
)

// RunFrom runs a command to its end, from a thread that was changed by enter first; see Command.Enter.
func RunFrom(enter func() error, cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so nobody else gets to use it.
		runtime.LockOSThread()
		if err := enter(); err != nil {
			result <- err
			return
		}
		result <- cmd.Run()
	}()
	return <-result
}
