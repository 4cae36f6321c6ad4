package cmdutil

import (
	"errors"
	"fmt"
	"net"
)

// FlagErrors collects what is wrong with flags.
type FlagErrors struct {
	errs []error
}

// Add says what is wrong with a flag, of which name has no hyphens in front.
func (e *FlagErrors) Add(name, format string, args ...any) {
	e.AddError(fmt.Errorf("--%s: "+format, append([]any{name}, args...)...))
}

// AddError adds what says by itself which flag it is about.
func (e *FlagErrors) AddError(err error) { e.errs = append(e.errs, err) }

// AddAddress adds that the address to serve at is none. "" is one: nothing is served.
func (e *FlagErrors) AddAddress(name, address string) {
	if address == "" {
		return
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		e.Add(name, "%q: must be HOST:PORT or :PORT", address)
	}
}

// Join is all of it as one error, nil where nothing is wrong.
func (e *FlagErrors) Join() error { return errors.Join(e.errs...) }
