package main

import (
	"context"
	"time"
)

// besideTenants are the namespaces of two tenants: busy for the one that creates MiniClusters, quiet for the other one,
// which resizes a Job resized and a Job bare.
type besideTenants struct {
	busy, quiet           string
	busyWorld, quietWorld *world
}

// besideTenants makes the tenants, and the Jobs of the quiet one.
func (s *scaleLab) besideTenants(ctx context.Context, createResized func(quiet string) error) (*besideTenants, func(), error) {
	quiet, quietWorld, stopQuiet, err := s.tenant(ctx)
	if err != nil {
		return nil, nil, err
	}
	busy, busyWorld, stopBusy, err := s.tenant(ctx)
	if err != nil {
		stopQuiet()
		return nil, nil, err
	}
	stop := func() {
		stopBusy()
		stopQuiet()
	}
	run := quietWorld.expect(podsRun(2 * sizeAtFirst))
	err = createResized(quiet)
	if err == nil {
		err = s.createBareJob(ctx, quiet, "bare")
	}
	if err == nil {
		_, err = run(ctx)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return &besideTenants{busy: busy, quiet: quiet, busyWorld: busyWorld, quietWorld: quietWorld}, stop, nil
}

// besideTimes are the times of createBeside, in seconds.
type besideTimes struct {
	// create is the time until all Jobs exist, run that until all of their pods run.
	create, run      float64
	resizes, patches []float64
	// underLoad is the number of resizes that began before all Jobs existed.
	underLoad int
}

// createBeside creates the MiniClusters of the busy tenant, while the quiet one resizes its two Jobs in turn, and waits
// until all pods run.
func (s *scaleLab) createBeside(ctx context.Context, t *besideTenants, create func(context.Context, int) error,
	resize func(context.Context, int32) error,
) (*besideTimes, error) {
	r := &besideTimes{}
	created := make(chan error, 1)
	exist, run := t.busyWorld.expect(jobsExist(s.options.N)), t.busyWorld.expect(podsRun(s.options.N))
	begin := time.Now()
	go func() { created <- s.all(ctx, s.options.N, create) }()
	for i := range s.options.Resizes {
		size := int32(sizeAtFirst + 1 - i%2)
		took, err := timeUntil(ctx, t.quietWorld, jobResized("resized", size), func() error { return resize(ctx, size) })
		if err != nil {
			return nil, err
		}
		patched, err := timeUntil(ctx, t.quietWorld, jobResized("bare", size), func() error {
			return resizeJob(ctx, s.kube, t.quiet, "bare", size)
		})
		if err != nil {
			return nil, err
		}
		r.resizes, r.patches = append(r.resizes, took), append(r.patches, patched)
		if !t.busyWorld.is(jobsExist(s.options.N)) {
			r.underLoad = i + 1
		}
	}
	if err := <-created; err != nil {
		return nil, err
	}
	at, err := exist(ctx)
	if err != nil {
		return nil, err
	}
	r.create = at.Sub(begin).Seconds()
	at, err = run(ctx)
	r.run = at.Sub(begin).Seconds()
	return r, err
}
