package main

import (
	"context"
	"fmt"
	"time"

	"minicluster.internal/operator/test/framework/cluster"
)

// restart replaces the operator, and waits until the new one has taken over.
func (s *scaleLab) restart(ctx context.Context) error {
	if err := s.quiet(ctx); err != nil {
		return err
	}
	if err := s.operator.Stop(); err != nil {
		return fmt.Errorf("stopping the operator: %w", err)
	}
	operator, err := s.startOperator()
	if err != nil {
		return err
	}
	s.operator = operator
	s.sampler.follow(operator)
	audit, err := s.cluster.Audit()
	if err != nil {
		return err
	}
	namespace, world, stop, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	defer stop()
	exists := world.expect(jobsExist(1))
	if _, err := s.createSized(ctx, namespace, "after-restart", 1, 1); err != nil {
		return err
	}
	if _, err := exists(ctx); err != nil {
		return err
	}
	if err := s.inspected(ctx); err != nil {
		return err
	}
	requests, err := audit.Requests(s.lab.options.User)
	if err != nil {
		return err
	}
	s.changed = onlyIn(namespace, requests)
	return nil
}

// inspected waits until the operator, which inspects all MiniClusters after its start, uses hardly any CPU time.
func (s *scaleLab) inspected(ctx context.Context) error {
	const (
		pause = 5 * time.Second
		share = 20 // the operator may use so small a part of the pause
	)
	for {
		before, err := s.operator.Usage()
		if err != nil {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		after, err := s.operator.Usage()
		if err != nil || after.CPU-before.CPU < pause/share {
			return err
		}
	}
}

// quiet waits until the operator has sent no request for some time: longer than it delays status writes.
func (s *scaleLab) quiet(ctx context.Context) error {
	const silence = 16 * time.Second
	audit, err := s.cluster.Audit()
	if err != nil {
		return err
	}
	before, since := 0, time.Now()
	return s.poll(ctx, "the operator to be quiet", func(context.Context) (bool, error) {
		requests, err := audit.Counts(s.lab.options.User)
		if n := total(worth(requests)); n != before {
			before, since = n, time.Now()
		}
		return time.Since(since) > silence, err
	})
}

// onlyIn returns an error if an operator that has just started changed anything outside a namespace. What a fresh
// operator does not change is as it computes it.
func onlyIn(namespace string, requests []cluster.Request) error {
	changes := 0
	var first cluster.Request
	for _, r := range requests {
		switch {
		case r.Namespace == namespace, r.Resource == "leases", r.Resource == "events":
		case r.Verb == "get", r.Verb == "list", r.Verb == "watch":
		default:
			if changes++; changes == 1 {
				first = r
			}
		}
	}
	if changes > 0 {
		return fmt.Errorf("the restarted operator made %d changes; the first one: %s of %s/%s", changes, first.Key(), first.Namespace, first.Name)
	}
	return nil
}
