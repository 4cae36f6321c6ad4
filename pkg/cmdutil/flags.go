package cmdutil

import (
	"errors"
	"fmt"
	"net"
)

// FlagErrors collects errors about flags.
type FlagErrors struct {
	errs []error
}

// Add adds an error about the flag of a name, which has no leading hyphens.
func (e *FlagErrors) Add(name, format string, args ...any) {
	e.AddError(fmt.Errorf("--%s: "+format, append([]any{name}, args...)...))
}

// AddError adds an error that already names the flag.
func (e *FlagErrors) AddError(err error) { e.errs = append(e.errs, err) }

// AddAddress adds an error if a listen address is invalid. The address "" is valid and disables the
// server.
func (e *FlagErrors) AddAddress(name, address string) {
	if address == "" {
		return
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		e.Add(name, "%q: must be HOST:PORT or :PORT", address)
	}
}

// Join returns all errors as one, or nil if there are none.
func (e *FlagErrors) Join() error { return errors.Join(e.errs...) }
