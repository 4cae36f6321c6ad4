package fluxconfig

import "fmt"

// FieldError is an error about a field of the MiniCluster, which a validator can report with the field.
type FieldError struct {
	// Field is the path of the field, for example
	// spec.flux.bursting.clusters[0].name.
	Field string
	// Err describes the problem.
	Err error
}

// Error implements error.
func (e *FieldError) Error() string {
	return e.Field + ": " + e.Err.Error()
}

// Unwrap implements the interface of errors.Is and errors.As.
func (e *FieldError) Unwrap() error {
	return e.Err
}

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}
