package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestComponentThatFails(t *testing.T) {
	failed := make(chan error, 1)
	cause := errors.New("no etcd")
	c := start(t.Context(), "kube-apiserver", failed, func(context.Context) error { return cause })
	err := <-failed
	assert.ErrorIs(t, err, cause)
	assert.ErrorContains(t, err, "kube-apiserver")
	c.stop(time.Minute)
}

func TestComponentThatIsStopped(t *testing.T) {
	failed := make(chan error, 1)
	c := start(t.Context(), "kube-scheduler", failed, func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("finished without leader elect")
	})
	c.stop(time.Minute)
	assert.Empty(t, failed, "a requested end is not a failure")
}

func TestComponentThatDoesNotStop(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	c := start(t.Context(), "kube-apiserver", make(chan error, 1), func(context.Context) error {
		<-stuck
		return nil
	})
	c.stop(time.Millisecond)
}

func TestAwait(t *testing.T) {
	cause := errors.New("no etcd")
	failing := make(chan error, 1)
	failing <- cause
	forever := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	canceled, cancel := context.WithCancel(t.Context())
	cancel()

	assert.NoError(t, await(t.Context(), nil, func(context.Context) error { return nil }))
	assert.ErrorIs(t, await(t.Context(), nil, func(context.Context) error { return cause }), cause)
	assert.ErrorIs(t, await(t.Context(), failing, forever), cause)
	assert.ErrorIs(t, await(canceled, nil, forever), context.Canceled)
}
