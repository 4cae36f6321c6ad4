package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// instead returns a function that does something while the operator is stopped.
func (s *scaleLab) instead(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := s.operator.Stop(); err != nil {
			return fmt.Errorf("stopping the operator: %w", err)
		}
		if err := do(ctx); err != nil {
			return err
		}
		return s.replaceOperator()
	}
}

// replaceOperator starts an operator after the previous one has stopped.
func (s *scaleLab) replaceOperator() error {
	operator, err := s.startOperator()
	if err != nil {
		return err
	}
	s.operator = operator
	s.sampler.follow(operator)
	return nil
}

// measureRawClient measures how long the raw client takes to write the objects of the same MiniClusters, beside the
// same work of another tenant: twice as many patches of Jobs, since there is no operator.
func (s *scaleLab) measureRawClient(ctx context.Context) (err error) {
	t, stop, err := s.besideTenants(ctx, func(quiet string) error { return s.createBareJob(ctx, quiet, "resized") })
	if err != nil {
		return err
	}
	defer stop()
	raw, err := s.startRawClient()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Stop()) }()
	errands := &turn{lab: s.lab, who: rawTurn, errands: json.NewEncoder(raw.Input())}
	create := func(ctx context.Context, i int) error {
		mc, err := s.createSized(ctx, t.busy, nameOf(i), 1, 1)
		if err != nil {
			return err
		}
		return errands.tell(mc, 1, true)
	}
	resize := func(ctx context.Context, size int32) error { return resizeJob(ctx, s.kube, t.quiet, "resized", size) }
	return raw.During(ctx, func(ctx context.Context) error {
		r, err := s.createBeside(ctx, t, create, resize)
		if err != nil {
			return err
		}
		s.results.RawCreate, s.results.RawRun = r.create, r.run
		gone := t.busyWorld.expect(nothingLeft)
		if err := s.deleteIn(ctx, t.busy); err != nil {
			return err
		}
		if _, err := gone(ctx); err != nil {
			return err
		}
		if err := s.waitUntilEmpty(ctx, t.busy); err != nil {
			return err
		}
		return s.deleteJobs(ctx, t.quiet, t.quietWorld)
	})
}
