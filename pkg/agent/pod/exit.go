package pod

import (
	"errors"
	"fmt"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// ExitError is an error with the exit code that it causes.
type ExitError struct {
	// Code is the exit code of the agent.
	Code int
	// Err is the cause; nil if the code says everything.
	Err error
}

// Exit returns an ExitError.
func Exit(code int, err error) *ExitError {
	return &ExitError{Code: code, Err: err}
}

// Error returns the text of the cause.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode returns the exit code that an error causes: that of its ExitError, else plan.ExitPrepare.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return plan.ExitPrepare
}
