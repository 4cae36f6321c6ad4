package agent

import (
	"fmt"
	"os"
)

// exitUsage is the exit code of a wrong command line.
const exitUsage = 2

// exitError is an error that decides about the agent's exit code.
type exitError struct {
	code int
	err  error
}

func exit(code int, err error) *exitError {
	return &exitError{code: code, err: err}
}

// Error is what went wrong.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap is what went wrong.
func (e *exitError) Unwrap() error { return e.err }

// toldAlready: there is nothing to say but the code.
func (e *exitError) toldAlready() bool {
	return e != nil && e.err == nil
}

// terminationLog is where Kubernetes looks for the reason of a container's end
// (terminationMessagePath).
const terminationLog = "/dev/termination-log"

// terminationMessage tells Kubernetes why the container ends. What is not a
// container of Kubernetes has no such file.
func (a *agent) terminationMessage(text string) {
	f, err := os.OpenFile(a.path(terminationLog), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, text)
}
