package process

import (
	"os/exec"
	"runtime"
)

// Within runs a function on a thread that enter has changed; see Command.Enter. Files and connections that it opens
// can be used anywhere afterwards.
func Within(enter, do func() error) error {
	result := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with the goroutine and is not reused.
		runtime.LockOSThread()
		if err := enter(); err != nil {
			result <- err
			return
		}
		result <- do()
	}()
	return <-result
}

// RunFrom runs a command to its end, from a thread that enter has changed; see Command.Enter.
func RunFrom(enter func() error, cmd *exec.Cmd) error { return Within(enter, cmd.Run) }
