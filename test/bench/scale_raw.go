package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	quiet, quietWorld, stop, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	defer stop()
	busy, busyWorld, stop, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	defer stop()
	run := quietWorld.expect(podsRun(2 * sizeAtFirst))
	for _, name := range []string{"resized", "bare"} {
		if err := s.createBareJob(ctx, quiet, name); err != nil {
			return err
		}
	}
	if _, err := run(ctx); err != nil {
		return err
	}
	raw, err := s.startRawClient()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Stop()) }()
	errands := &turn{lab: s.lab, who: rawTurn, errands: json.NewEncoder(raw.Input())}
	create := func(ctx context.Context, i int) error {
		mc, err := s.createSized(ctx, busy, nameOf(i), 1, 1)
		if err != nil {
			return err
		}
		return errands.tell(mc, 1, true)
	}
	patch := func(name string) func(context.Context, int32) error {
		return func(ctx context.Context, size int32) error { return resizeJob(ctx, s.kube, quiet, name, size) }
	}
	return raw.During(ctx, func(ctx context.Context) error {
		r, err := s.createBeside(ctx, busyWorld, create, quietWorld, patch("resized"), patch("bare"))
		if err != nil {
			return err
		}
		s.results.RawCreate, s.results.RawRun = r.create, r.run
		gone := busyWorld.expect(nothingLeft)
		if err := s.deleteIn(ctx, busy); err != nil {
			return err
		}
		if _, err := gone(ctx); err != nil {
			return err
		}
		if err := s.waitUntilEmpty(ctx, busy); err != nil {
			return err
		}
		return s.deleteJobs(ctx, quiet, quietWorld)
	})
}

// deleteJobs deletes the Jobs of a namespace.
func (s *scaleLab) deleteJobs(ctx context.Context, namespace string, world *world) error {
	gone := world.expect(nothingLeft)
	background := metav1.DeletePropagationBackground
	err := s.kube.BatchV1().Jobs(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("deleting the Jobs of namespace %s: %w", namespace, err)
	}
	_, err = gone(ctx)
	return err
}
