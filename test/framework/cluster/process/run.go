package process

import (
	"os/exec"
	"runtime"
)

// Within does something on a thread that was changed by enter first; see Command.Enter. What it opens, files and
// connections, can be used from everywhere afterwards.
func Within(enter, do func() error) error {
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so nobody else gets to use it.
		runtime.LockOSThread()
		if err := enter(); err != nil {
			result <- err
			return
		}
		result <- do()
	}()
	return <-result
}

// RunFrom runs a command to its end, from a thread that was changed by enter first; see Command.Enter.
func RunFrom(enter func() error, cmd *exec.Cmd) error { return Within(enter, cmd.Run) }
