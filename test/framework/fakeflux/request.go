package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

// Roles of a message, RFC 12.
const (
	roleOwner = 1
	roleUser  = 2
	roleLocal = 4
)

// request is a call of a service of the broker, from a local client or from
// another broker.
type request struct {
	topic     string
	node      flux.Node
	user      uint32
	roles     uint32
	body      json.RawMessage
	streaming bool
	gone      <-chan struct{} // closed when nobody waits for a response any more
	respond   func(errno syscall.Errno, body []byte)
}

// failure is a response that is an error.
type failure struct {
	errno syscall.Errno
	text  string
}

func (f failure) Error() string { return f.text }

func fail(errno syscall.Errno, format string, args ...any) error {
	return failure{errno, fmt.Sprintf(format, args...)}
}

// answer sends a response: a value, or an error.
func (r *request) answer(v any, err error) {
	var f failure
	switch {
	case errors.As(err, &f):
		r.respond(f.errno, []byte(f.text))
		return
	case err != nil:
		r.respond(syscall.EPROTO, []byte(err.Error()))
		return
	case v == nil:
		r.respond(0, nil)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		r.respond(syscall.EPROTO, []byte(err.Error()))
		return
	}
	r.respond(0, body)
}

// decode reads the body of a request.
func decode[T any](r *request) (T, error) {
	var in T
	if len(r.body) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(r.body, &in); err != nil {
		return in, fail(syscall.EPROTO, "%s: %v", r.topic, err)
	}
	return in, nil
}
