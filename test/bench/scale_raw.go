package main

import (
	"context"
	"encoding/json"
	"errors"
)

// measureRawClient measures how long the raw client takes to write the objects of the same MiniClusters, beside the
// same ConfigMaps and the same work of another tenant: twice as many patches of Jobs, since there is no operator.
func (s *scaleLab) measureRawClient(ctx context.Context) (err error) {
	s.say("raw client")
	if err := s.createForeign(ctx); err != nil {
		return err
	}
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
		s.say("  all Jobs exist: %.1f s, all pods run: %.1f s", r.create, r.run)
		return writeJSON(s.options.JSON, s.results)
	})
}
